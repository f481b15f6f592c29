import type { App } from "../../app/app.ts";
import type {
  Control,
  ControlChange,
  ControlReport,
  Explanation,
  MismatchEntry,
} from "../../app/control.ts";
import type { Snapshot } from "../../app/snapshot.ts";
import type { Path } from "../../migration/call.ts";
import type { FlagState } from "../../migration/flags.ts";
import type { JournalEntry, JournalQuery } from "../../migration/journal.ts";
import type { Fault } from "../../rehearsal/faults.ts";
import type { Remote } from "../remote.ts";

/** A rollout as the control tells of it, what it can be told, and what came of that. */
export type RolloutStatus = ReturnType<Control["rollouts"]>[number];
export type RolloutCommand = Parameters<Control["commandRollout"]>[1];
export type RolloutReport = Awaited<ReturnType<Control["commandRollout"]>>;

/** A mismatch with all that was kept of it. */
export type MismatchDetail = ReturnType<Control["mismatch"]>;

/** What came of running a case again. */
export type MismatchReplay = Awaited<ReturnType<Control["replayMismatch"]>>;

/** Where an exported test finds the operation's definition: the module, and the name of the export. */
export interface ExportFrom {
  readonly module?: string;
  readonly name?: string;
}

/** What an operator's command works through: the running process, or the data folder itself. */
export interface OperatorDoor {
  /** Which of the two, in words. */
  readonly way: string;
  /** Is a running process behind it? */
  readonly live: boolean;
  /** In a sentence, when changed flags and rollouts count; null: for whoever reads them, at once. */
  readonly effect: string | null;
  snapshot(): Promise<Snapshot>;
  setFlag(
    operation: string,
    values: { readonly percentage?: number; readonly shadow?: number },
    change: ControlChange,
  ): Promise<FlagState>;
  /** Null for every operation. */
  rollBack(operation: string | null, change: ControlChange): Promise<readonly ControlReport[]>;
  rearm(operation: string, change: ControlChange): Promise<readonly ControlReport[]>;
  /** Every rollout, or that of one operation. */
  rollouts(operation: string | null): Promise<readonly RolloutStatus[]>;
  commandRollout(
    operation: string,
    command: RolloutCommand,
    change: ControlChange,
    dryRun: boolean,
  ): Promise<RolloutReport>;
  setFault(path: Path, fault: Partial<Fault>, change: ControlChange): Promise<Fault>;
  mismatches(): Promise<readonly MismatchEntry[]>;
  mismatch(id: string): Promise<MismatchDetail>;
  /** Runs a case on both paths again; only a running process has a backend to run it on. */
  replayMismatch(id: string): Promise<MismatchReplay>;
  /** The text of a vitest file. */
  exportMismatch(id: string, from?: ExportFrom): Promise<string>;
  explain(operation: string, key: string): Promise<Explanation>;
  journal(query: JournalQuery): Promise<readonly JournalEntry[]>;
  close(): Promise<void>;
}

/** The control of an app in this process. */
export function localOperator(
  app: App,
  { way, effect }: Pick<OperatorDoor, "way" | "effect">,
): OperatorDoor {
  const control: Control = app.control;
  return {
    way,
    live: false,
    effect,
    snapshot: () => Promise.resolve(app.snapshot()),
    setFlag: (operation, values, change) => control.setFlag(operation, values, change),
    rollBack: async (operation, change) =>
      operation === null
        ? control.rollBackAll(change)
        : [await control.rollBack(operation, change)],
    rearm: async (operation, change) => [await control.rearm(operation, change)],
    rollouts: async (operation) => control.rollouts(operation ?? undefined),
    commandRollout: (operation, command, change, dryRun) =>
      control.commandRollout(operation, command, change, dryRun),
    setFault: (path, fault, change) => control.setFault(path, fault, change),
    mismatches: async () => control.mismatches(),
    mismatch: async (id) => control.mismatch(id),
    replayMismatch: (id) => control.replayMismatch(id),
    exportMismatch: async (id, from) => control.exportMismatch(id, from),
    explain: async (operation, key) => control.explain(operation, key),
    journal: (query) => control.journal(query),
    close: async () => {
      await app.close();
    },
  };
}

interface Reports {
  readonly reports: readonly ControlReport[];
}

/** The control API of a running process, over HTTP. */
export function remoteOperator(remote: Remote, way: string): OperatorDoor {
  const post = <T>(path: string, body: unknown): Promise<T> =>
    remote.control<T>({ method: "POST", path, body });
  const get = <T>(path: string): Promise<T> => remote.control<T>({ method: "GET", path });
  return {
    way,
    live: true,
    effect: null,
    snapshot: () => get("/control/status"),
    setFlag: (operation, values, change) =>
      post(`/control/flags/${encodeURIComponent(operation)}`, { ...values, ...change }),
    rollBack: async (operation, change) => {
      const body = { operation: operation ?? "all", ...change };
      return (await post<Reports>("/control/rollback", body)).reports;
    },
    rearm: async (operation, change) =>
      (await post<Reports>("/control/rearm", { operation, ...change })).reports,
    rollouts: async (operation) => {
      const of = operation === null ? "" : `/${encodeURIComponent(operation)}`;
      return (await get<{ rollouts: RolloutStatus[] }>(`/control/rollout${of}`)).rollouts;
    },
    commandRollout: (operation, command, change, dryRun) =>
      post(`/control/rollout/${encodeURIComponent(operation)}/${command}`, { ...change, dryRun }),
    setFault: async (path, fault, change) =>
      (await post<{ fault: Fault }>("/control/fault", { path, ...fault, ...change })).fault,
    mismatches: async () =>
      (await get<{ mismatches: MismatchEntry[] }>("/control/mismatches")).mismatches,
    mismatch: (id) => get(`/control/mismatches/${encodeURIComponent(id)}`),
    replayMismatch: (id) => post(`/control/mismatches/${encodeURIComponent(id)}/replay`, {}),
    exportMismatch: async (id, from = {}) => {
      const query = new URLSearchParams({ ...from }).toString();
      const path = `/control/mismatches/${encodeURIComponent(id)}/vitest?${query}`;
      return (await get<{ text: string }>(path)).text;
    },
    explain: (operation, key) =>
      get(`/control/explain?${new URLSearchParams({ operation, key }).toString()}`),
    journal: async ({ operation, sinceMs, limit }) => {
      const query = new URLSearchParams();
      if (operation !== undefined) query.set("operation", operation);
      if (sinceMs !== undefined) query.set("since", String(sinceMs));
      if (limit !== undefined) query.set("limit", String(limit));
      const path = `/control/journal?${query.toString()}`;
      return (await get<{ entries: JournalEntry[] }>(path)).entries;
    },
    close: () => remote.close(),
  };
}
