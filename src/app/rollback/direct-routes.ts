import type { Clock } from "../../base/clock.ts";
import { CodedError } from "../../base/errors.ts";
import { unleashOperations } from "../../flags/unleash/operation-names.ts";
import { UnleashControl } from "../../flags/unleash/unleash-control.ts";
import type { FlagState } from "../../migration/flags.ts";
import type { JournalEntry } from "../../migration/journal.ts";
import { openPostgres } from "../../postgres/open-postgres.ts";
import type { Config } from "../config.ts";
import type { ControlChange } from "../control.ts";

/** What the direct routes are opened with. */
export interface DirectRouteOptions {
  readonly config: Pick<
    Config,
    | "dataDir"
    | "flagsDir"
    | "postgresUrl"
    | "unleashUrl"
    | "unleashAdminToken"
    | "unleashEnvironment"
    | "unleashProject"
  >;
  readonly clock: Clock;
  /** Milliseconds that one request to Unleash may take; default 3,000. */
  readonly tryMs?: number;
  /** Milliseconds that one change may be tried in Unleash; default 8,000. */
  readonly deadlineMs?: number;
}

/** A way to every instance that needs none of our processes. Each method has its own time limit. */
export interface DirectRoute {
  readonly name: "unleash" | "postgres";
  /** What the step of one operation is called: the same as in a rollback by a running process. */
  readonly step: "flag" | "broadcast";
  /** Operations that it knows of. */
  operations(): Promise<readonly string[]>;
  /** Switches off every operation of a migration in one write, read back; null where it cannot. */
  readonly switchMigrationOff: ((migration: string) => Promise<void>) | null;
  /** Brings the callers of one operation back to legacy, and reads back that it is so. Idempotent. */
  rollBack(operation: string, change: ControlChange): Promise<FlagState | null>;
  /** Null where it keeps no history. */
  readonly append: ((entry: JournalEntry) => Promise<void>) | null;
  close(): Promise<void>;
}

/** Unleash's Admin API. Throws `CONFIG_INVALID` without an admin token, and `FLAGS_INVALID_OPTIONS`. */
export function unleashRoute(url: string, options: DirectRouteOptions): DirectRoute {
  const { config, clock, tryMs = 3000, deadlineMs = 8000 } = options;
  if (config.unleashAdminToken === null) {
    throw new CodedError(
      "CONFIG_INVALID",
      "CHANGEOVER_UNLEASH_ADMIN_TOKEN is missing, so no flag can be switched off.",
      { status: 400 },
    );
  }
  const access = {
    ...{ url, token: config.unleashAdminToken, clock, tryMs, deadlineMs },
    project: config.unleashProject,
    environment: config.unleashEnvironment,
  };
  const control = new UnleashControl(access);
  return {
    name: "unleash",
    step: "flag",
    operations: () => unleashOperations({ ...access, deadlineMs: tryMs }),
    switchMigrationOff: (migration) => control.switchMigrationOff(migration),
    rollBack: (operation, change) => control.switchOff(operation, change),
    append: null,
    close: () => Promise.resolve(),
  };
}

/** The fleet's Postgres. Rejects with `POSTGRES_PACKAGE_MISSING` and `CONFIG_INVALID`. */
export async function postgresRoute(
  url: string,
  { clock }: DirectRouteOptions,
): Promise<DirectRoute> {
  const { fleet, journal, close } = await openPostgres({
    url,
    clock,
    // Never listed among the instances: it reports nothing of itself.
    instance: `changeover-rollback-${process.pid}`,
    report: () => undefined,
  });
  return {
    name: "postgres",
    step: "broadcast",
    operations: async () => {
      const instances = await fleet.instances();
      return instances.flatMap(({ operations }) => operations.map((each) => each.operation));
    },
    switchMigrationOff: null,
    rollBack: async (operation, { by, reason }) => {
      await fleet.trip(operation, { by: { type: "person", name: by }, reason });
      const latches = await fleet.load();
      if (latches.some((latch) => latch.operation === operation && latch.tripped)) return null;
      throw new CodedError(
        "POSTGRES_UNAVAILABLE",
        `The latch of ${operation} was tripped and is not tripped when read back: somebody re-arms it, or a replica answers.`,
        { status: 503, retryable: true },
      );
    },
    append: (entry) => journal.append(entry),
    close,
  };
}
