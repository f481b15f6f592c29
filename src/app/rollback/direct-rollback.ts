import { CodedError } from "../../base/errors.ts";
import { FileJournal } from "../../disk/file-journal.ts";
import { FlagFolder } from "../../flags/flag-folder.ts";
import type { FlagState } from "../../migration/flags.ts";
import type { Config } from "../config.ts";
import type { ControlChange, ControlReport, ControlStep } from "../control.ts";
import { type DirectRouteOptions, postgresRoute, unleashRoute } from "./direct-routes.ts";
import { type DirectRouteReport, RouteRun, timedStep } from "./route-run.ts";

/** What is rolled back without any process of ours. */
export interface DirectRollbackOptions extends DirectRouteOptions {
  /** In full or by its last part; null: every one. */
  readonly operation: string | null;
  readonly change: ControlChange;
}

/** What a rollback without a process came to. */
export interface DirectRollbackReport {
  /** Operations whose callers at least one route has reached: all of them, some, or none. */
  readonly reached: "all" | "some" | "none";
  readonly routes: readonly DirectRouteReport[];
  /** Of each operation, and first of each kill switch of a migration. */
  readonly reports: readonly ControlReport[];
}

/** Is there a way to the instances beside their own control API? */
export function hasDirectRoutes({
  unleashUrl,
  postgresUrl,
}: Pick<Config, "unleashUrl" | "postgresUrl">): boolean {
  return unleashUrl !== null || postgresUrl !== null;
}

/**
 * Rolls back with every process of ours dead: straight against Unleash and the fleet's Postgres, whichever
 * of the two is set up, both at the same time. Any one that works is enough for the callers; what the
 * other came to is in the report. Rejects with `MIGRATION_UNKNOWN_OPERATION` only, before it has changed
 * anything.
 */
export async function rollBackDirectly(
  options: DirectRollbackOptions,
): Promise<DirectRollbackReport> {
  const { unleashUrl, postgresUrl } = options.config;
  const unleash = new RouteRun("unleash", unleashUrl, options, (url) => unleashRoute(url, options));
  const postgres = new RouteRun("postgres", postgresUrl, options, (url) =>
    postgresRoute(url, options),
  );
  const runs = [unleash, postgres];
  try {
    await Promise.all(runs.map((run) => run.open()));
    const operations = await operationsOf(runs, options);
    await Promise.all(runs.map((run) => run.rollBack(operations)));
    const journalled = new Map<string, ControlStep>();
    for (const operation of operations) {
      const steps = stepsOf(runs, operation);
      journalled.set(operation, await journal(operation, steps, postgres, options));
    }
    return reportOf(runs, operations, journalled);
  } finally {
    await Promise.all(runs.map((run) => run.close()));
  }
}

/**
 * Which operations: those of the flag files; where there are none, those that Unleash has flags for and
 * that instances tell of. A name in full is believed where nobody knows any.
 */
async function operationsOf(
  runs: readonly RouteRun[],
  { config, operation }: DirectRollbackOptions,
): Promise<readonly string[]> {
  const filed = await filedOperations(config.flagsDir);
  const told = filed.length > 0 ? filed : await Promise.all(runs.map((run) => run.operations()));
  const known = [...new Set(told.flat())].sort();
  if (operation === null) {
    if (known.length > 0) return known;
    throw new CodedError(
      "MIGRATION_UNKNOWN_OPERATION",
      `No operation is known: there are no flag files in ${config.flagsDir}, and neither Unleash nor Postgres tells of any. Name one in full, as in files.upload, or set CHANGEOVER_FLAGS_DIR.`,
      { status: 404 },
    );
  }
  const exact = known.filter((name) => name === operation);
  const found = exact.length > 0 ? exact : known.filter((name) => name.endsWith(`.${operation}`));
  if (found.length === 1) return found;
  if (known.length === 0 && /^[a-z0-9-]{1,40}(\.[a-z0-9-]{1,40}){1,3}$/.test(operation)) {
    return [operation];
  }
  const names = known.length === 0 ? "none; use its full name" : known.join(", ");
  throw new CodedError(
    "MIGRATION_UNKNOWN_OPERATION",
    `There is no operation "${operation.slice(0, 80)}". Known: ${names}.`,
    { status: 404 },
  );
}

async function filedOperations(folder: string): Promise<string[]> {
  const flags = new FlagFolder(folder);
  // Without files the servers are asked.
  await flags.look().catch(() => false);
  return flags.operations.map(({ name }) => name);
}

/** In the fleet's journal; where that cannot be reached, in the data folder. */
async function journal(
  operation: string,
  steps: readonly ControlStep[],
  postgres: RouteRun,
  { config, clock, change }: DirectRollbackOptions,
): Promise<ControlStep> {
  const entry = {
    at: new Date(clock.now()).toISOString(),
    operation,
    kind: "rollback",
    actor: { type: "person", name: change.by },
    from: "candidate",
    to: "legacy",
    why: change.reason,
    evidence: { direct: true, steps },
  } as const;
  const append = postgres.steps.get(operation)?.result === "done" ? postgres.route?.append : null;
  if (append != null) {
    const shared = await timedStep(clock, "journal", () => append(entry));
    if (shared.result === "done") return shared;
  }
  const own = new FileJournal({ folder: config.dataDir, clock });
  const step = await timedStep(clock, "journal", () => own.append(entry));
  return step.result === "done" ? { ...step, detail: `in ${config.dataDir}` } : step;
}

const stepsOf = (runs: readonly RouteRun[], operation: string): ControlStep[] =>
  runs.flatMap(({ steps }) => steps.get(operation) ?? []);

function reportOf(
  runs: readonly RouteRun[],
  operations: readonly string[],
  journalled: ReadonlyMap<string, ControlStep>,
): DirectRollbackReport {
  const reached = operations.filter((operation) => runs.some((run) => run.reaches(operation)));
  const report = (
    operation: string,
    steps: readonly ControlStep[],
    flag: FlagState | null,
  ): ControlReport => {
    const complete = steps.length > 0 && steps.every(({ result }) => result === "done");
    return { operation, complete, steps, flag };
  };
  const migrations = runs.flatMap((run) =>
    [...run.migrations].map(([name, step]) => report(name, [step], null)),
  );
  return {
    reached: reached.length === operations.length ? "all" : reached.length === 0 ? "none" : "some",
    routes: runs.map((run) => run.report(operations)),
    reports: [
      ...migrations,
      ...operations.map((operation) => {
        const steps = stepsOf(runs, operation);
        const last = journalled.get(operation);
        const flag = runs
          .map((run) => run.flags.get(operation))
          .find((state) => state !== undefined);
        return report(operation, [...steps, ...(last === undefined ? [] : [last])], flag ?? null);
      }),
    ],
  };
}
