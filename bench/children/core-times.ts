import { setTimeout as wait } from "node:timers/promises";
import { systemClock } from "../../src/base/clock.ts";
import { CodedError } from "../../src/base/errors.ts";
import { createChangeover } from "../../src/changeover.ts";
import { staticFlags } from "../../src/flags/static-flags.ts";
import { serveJob } from "../../src/harness/child.ts";
import { type CallDistribution, measureDistribution } from "../../src/harness/distribution.ts";

/** One launch: how fast a failing candidate is rolled back, or what a scrape of the metrics costs. */
export type CoreTimesJob = { readonly kind: "rollback" } | { readonly kind: "scrape" };

/** What became of callers while the candidate failed. */
export interface RollbackTimes {
  /** Milliseconds from the first failure to the first call that legacy answers because of the latch. */
  readonly automaticMs: number;
  /** Calls that the failing candidate got until then. */
  readonly failedCalls: number;
}

const operation = "bench.read";
const HEALTHY_CALLS = 2000;
const LIMIT_MS = 30_000;
/** One call each millisecond, as a timer makes them. */
const PAUSE_MS = 1;

serveJob<CoreTimesJob, RollbackTimes | CallDistribution[]>((job) =>
  job.kind === "rollback" ? rollback() : scrape(),
);

async function rollback(): Promise<RollbackTimes> {
  const flags = staticFlags({ [operation]: { percentage: 50, shadow: 0 } });
  const changeover = await createChangeover({ flags });
  let fails = false;
  let failedCalls = 0;
  const call = changeover.migrate<number, number>({
    name: operation,
    kind: "read",
    legacy: async (input) => input + 1,
    candidate: async (input) => {
      if (!fails) return input + 1;
      failedCalls += 1;
      throw new Error("The candidate fails, as it was told to.");
    },
  });
  try {
    for (let index = 0; index < HEALTHY_CALLS; index += 1) {
      await call(index, { key: `user-${index}` });
      if (index % 100 === 0) await wait(PAUSE_MS);
    }
    fails = true;
    const startedMs = systemClock.monotonicMs();
    for (let index = 0; systemClock.monotonicMs() - startedMs < LIMIT_MS; index += 1) {
      let reason = "";
      const onAnswer = (answered: { readonly reason: string }): void => {
        reason = answered.reason;
      };
      await call(index, { key: `user-${index}`, onAnswer });
      if (reason === "latched") {
        return { automaticMs: systemClock.monotonicMs() - startedMs, failedCalls };
      }
      await wait(PAUSE_MS);
    }
    throw new CodedError(
      "BENCH_NOT_ROLLED_BACK",
      `The failing candidate was not rolled back within ${LIMIT_MS} ms.`,
    );
  } finally {
    await changeover.close();
  }
}

async function scrape(): Promise<CallDistribution[]> {
  const names = Array.from({ length: 10 }, (_, index) => `bench.read${index}`);
  const flags = staticFlags(
    Object.fromEntries(names.map((name) => [name, { percentage: 50, shadow: 0 }])),
  );
  const changeover = await createChangeover({ flags });
  for (const name of names) {
    const call = changeover.migrate<number, number>({
      name,
      kind: "read",
      legacy: async (input) => input + 1,
      candidate: async (input) => input + 1,
    });
    for (let index = 0; index < 1000; index += 1) await call(index, { key: `user-${index}` });
  }
  try {
    return await measureDistribution(
      [{ name: "scrape, 10 operations", call: () => changeover.metrics.text() }],
      { timeMs: 500 },
    );
  } finally {
    await changeover.close();
  }
}
