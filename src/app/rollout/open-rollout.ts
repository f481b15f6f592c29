import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { CodedError, codeOf } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { type Changeover, type PolicyInput, parsePolicy } from "../../changeover.ts";
import { FileLease, FileRolloutStore } from "../../disk/file-rollout-store.ts";
import type { Fleet } from "../../migration/fleet.ts";
import type { AnyOperation } from "../../migration/operation.ts";
import { RolloutController } from "../../rollout/controller/controller.ts";
import type { RolloutProduct } from "../../rollout/controller/product.ts";
import { PrometheusTotals } from "../../rollout/fleet/prometheus-totals.ts";
import { defaultPlan, parsePlan, type RolloutPlan } from "../../rollout/plan/plan.ts";
import type { Lease, RolloutStore } from "../../rollout/ports.ts";
import type { Config } from "../config.ts";
import { drillCertificates } from "./drills.ts";

/** What rollouts are kept in and led by; files of the data folder where left out. */
export interface RolloutParts {
  readonly fleet?: Fleet;
  readonly rolloutStore?: RolloutStore;
  readonly lease?: Lease;
  /** When the last drill of an operation passed, in milliseconds since the Unix epoch; default: what `changeover drill` kept in the data folder. */
  readonly drilledMs?: (operation: string) => Promise<number | null>;
}

/** What a controller is opened with. */
export interface RolloutSources extends RolloutParts {
  readonly config: Config;
  readonly changeover: Changeover;
  readonly policy: PolicyInput;
  readonly clock: Clock;
  readonly logger: Logger;
  /** False for a process that only lives for one command: it tells others what to do, and leads nothing. */
  readonly mayLead: boolean;
}

/** Opens the rollout controller; `start` it once every operation is declared. Rejects with `ROLLOUT_INVALID_PLAN`. */
export async function openRollout(sources: RolloutSources): Promise<RolloutController> {
  const { config, changeover, policy, clock, logger, mayLead, fleet = null } = sources;
  const folder = config.dataDir;
  const certificates = drillCertificates(config);
  const { prometheusUrl } = config;
  return new RolloutController({
    product: productOf(changeover),
    plan: await readPlan(config),
    policy: parsePolicy(policy),
    store: sources.rolloutStore ?? new FileRolloutStore({ folder, clock }),
    lease: sources.lease ?? new FileLease({ folder, clock }),
    holder: holderOf(fleet, config),
    control: changeover.flags.control,
    journal: changeover.journal,
    clock,
    logger,
    fleet,
    mayLead,
    ...(prometheusUrl === null ? {} : { totals: new PrometheusTotals({ url: prometheusUrl }) }),
    drilledMs: sources.drilledMs ?? ((operation) => certificates.passedMs(operation)),
  });
}

/** Unique for each start: a process that comes back is another one, and finds what it left. */
function holderOf(fleet: Fleet | null, { instance }: Config): string {
  const name = fleet?.instance ?? instance ?? hostname();
  return `${name.slice(0, 50)} ${process.pid} ${randomUUID().slice(0, 8)}`;
}

/** The configured plan; else `rollout.json` beside the flags; else the built-in one. */
export async function readPlan(
  config: Pick<Config, "rolloutPlanFile" | "flagsDir">,
): Promise<RolloutPlan> {
  const path = config.rolloutPlanFile ?? join(config.flagsDir, "rollout.json");
  try {
    return parsePlan(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    if (codeOf(error) === "ENOENT" && config.rolloutPlanFile === null) return defaultPlan;
    if (codeOf(error) === "ROLLOUT_INVALID_PLAN") throw error;
    throw new CodedError(
      "ROLLOUT_INVALID_PLAN",
      `${path} cannot be read as a rollout plan (${codeOf(error) ?? "it is not JSON"}).`,
      { status: 400, cause: error },
    );
  }
}

/** This process's part of what is rolled out. */
function productOf(changeover: Changeover): RolloutProduct {
  const operations = (): readonly AnyOperation[] => changeover.operations;
  return {
    operations: () =>
      operations().map(({ name, definition, shadowable, latch }) => ({
        name,
        kind: definition.kind,
        shadowable,
        latch: {
          tripped: latch.tripped,
          epoch: latch.epoch,
          reason: latch.record?.reason ?? "",
        },
      })),
    verdicts: (operation) => changeover.verdicts(operation),
    totals: (operation) => changeover.totals(operation),
    flag: (operation) => changeover.flags.state(operation),
    beginPeriod: (operation) => changeover.beginPeriod(operation),
    setComplete: (operation, complete) => {
      const found = operations().find(({ name }) => name === operation);
      if (found !== undefined) found.complete = complete;
    },
    rollBack: (operation, change) => changeover.rollBack(operation, change),
  };
}
