import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { type Changeover, createChangeover, staticFlags } from "../../src/changeover.ts";
import { Guard } from "../../src/guard/guard.ts";
import { MemorySampler } from "../../src/guard/memory/memory-sampler.ts";
import { parsePolicy } from "../../src/guard/policy.ts";
import { anOperation, observationOf } from "../guard/support.ts";

/* Every trigger through the whole library; and the same calls with its rule switched off do nothing. */

const name = "test.read";
const clean: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of clean.splice(0)) await each();
});

/** How the two paths behave on a call. Time is what a path takes on the manual clock. */
interface Behaviour {
  readonly legacyMs?: (call: number) => number;
  readonly candidateMs?: (call: number) => number;
  readonly candidateHangs?: (call: number) => boolean;
  readonly candidateThrows?: (key: string) => Error | null;
}

class World {
  readonly clock = new ManualClock();
  readonly changeover: Changeover;
  readonly #call: (input: number, options: { key: string }) => Promise<string>;
  #behaviour: Behaviour = {};
  #calls = 0;
  rolledBackBy: string | null = null;

  constructor(changeover: Changeover, clock: ManualClock) {
    this.changeover = changeover;
    this.clock = clock;
    changeover.breaches.subscribe(({ verdict }) => {
      this.rolledBackBy ??= verdict.rule;
    });
    this.#call = changeover.migrate({
      name,
      kind: "read",
      deadlineMs: 2000,
      legacy: (n) => {
        this.clock.advance(this.#behaviour.legacyMs?.(n) ?? 1);
        return "old";
      },
      candidate: (n: number, { key }) => {
        const { candidateThrows, candidateHangs, candidateMs } = this.#behaviour;
        const thrown = candidateThrows?.(key) ?? null;
        if (thrown !== null) throw thrown;
        if (candidateHangs?.(n)) return new Promise<string>(() => undefined);
        this.clock.advance(candidateMs?.(n) ?? 1);
        return "new";
      },
    });
  }

  /** So many calls of so many users, or until the rollback. */
  async serve(
    calls: number,
    behaviour: Behaviour = {},
    keyOf?: (n: number) => string,
  ): Promise<number> {
    this.#behaviour = behaviour;
    for (let n = 1; n <= calls; n += 1) {
      if (this.rolledBackBy !== null) return n - 1;
      this.#calls += 1;
      const key = keyOf?.(this.#calls) ?? `user-${this.#calls}`;
      const answer = this.#call(this.#calls, { key }).catch(() => "failed");
      if (behaviour.candidateHangs?.(this.#calls)) {
        await Promise.resolve();
        this.clock.advance(2001);
      }
      await answer;
      this.clock.advance(5);
    }
    return calls;
  }
}

async function world(guard: object, share = 30): Promise<World> {
  const clock = new ManualClock();
  const flags = staticFlags({ [name]: share });
  const changeover = await createChangeover({ flags, clock, guard });
  clean.push(() => changeover.close());
  return new World(changeover, clock);
}

const off = (rule: string): object => ({ [rule]: { enabled: false } });
/** Each body runs with the policy as it is, and with its own rule switched off. */
const policies = (rule: string, others: object = {}): [string, object, boolean][] => [
  ["with its rule", { ...others }, true],
  ["and with its rule switched off not", { ...others, ...off(rule) }, false],
];

describe("timeouts of 2 % of the candidate's calls roll it back", () => {
  it.each(policies("timeoutRate"))("%s", async (_which, policy, trips) => {
    const w = await world({ ...policy, ...off("latency"), ...off("newException") });
    await w.serve(2000);
    const random = seededRandom(3);
    const hangs = new Map<number, boolean>();
    const candidateHangs = (n: number): boolean => {
      const known = hangs.get(n) ?? random.next() < 0.02;
      hangs.set(n, known);
      return known && w.changeover.explain(name, `user-${n}`).decision.path === "candidate";
    };
    await w.serve(40_000, { candidateHangs });
    expect(w.rolledBackBy).toBe(trips ? "timeout-rate" : null);
    const errors = w.changeover.verdicts(name).find(({ rule }) => rule === "error-rate");
    // Far from the five points that the error rule allows.
    expect(errors?.kind).not.toBe("breached");
  });
});

describe("a candidate slower than legacy is rolled back", () => {
  /** Lognormal with sigma 0.6, as latencies are: median 20 ms. */
  const lognormal = (seed: number): (() => number) => {
    const random = seededRandom(seed);
    return () => {
      const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
      return 20 * Math.exp(0.6 * radius * Math.cos(2 * Math.PI * random.next()));
    };
  };
  const run = async (policy: object, factor: number): Promise<World> => {
    const w = await world(policy);
    const legacyMs = lognormal(1);
    const draw = lognormal(2);
    await w.serve(12_000, { legacyMs, candidateMs: draw });
    expect(w.rolledBackBy).toBeNull();
    await w.serve(8000, { legacyMs, candidateMs: () => factor * draw() });
    return w;
  };

  it.each(policies("latency"))("by 1.5 times, %s", async (_which, policy, trips) => {
    expect((await run(policy, 1.5)).rolledBackBy).toBe(trips ? "latency" : null);
  });
  it.each(policies("latency"))("by 3 times, %s", async (_which, policy, trips) => {
    expect((await run(policy, 3)).rolledBackBy).toBe(trips ? "latency" : null);
  });
  it("and not when it is as fast", async () => {
    expect((await run({}, 1)).rolledBackBy).toBeNull();
  });
});

describe("an exception that legacy never threw rolls back", () => {
  it.each(policies("newException"))(
    "at the third time from two keys and not before, %s",
    async (_which, policy, trips) => {
      const w = await world(policy, 50);
      await w.serve(1000);
      const fresh = Object.assign(new Error("no such column"), { code: "E_NEW" });
      const onCandidate = Array.from({ length: 100 }, (_, n) => `key-${n}`).filter(
        (key) => w.changeover.explain(name, key).decision.path === "candidate",
      );
      const throwOnce = async (key: string): Promise<void> => {
        await w.serve(1, { candidateThrows: () => fresh }, () => key);
      };
      const [first = "", second = ""] = onCandidate;
      await throwOnce(first);
      const hold = w.changeover.verdicts(name).find(({ rule }) => rule === "new-exception");
      expect(hold?.action).toBe(trips ? "hold" : undefined);
      await throwOnce(first);
      expect(w.rolledBackBy).toBeNull();
      await throwOnce(second);
      expect(w.rolledBackBy).toBe(trips ? "new-exception" : null);
    },
  );
});

describe("failures of the candidate roll it back", () => {
  it.each(policies("errorRate", off("newException")))("%s", async (_which, policy, trips) => {
    const w = await world(policy, 10);
    await w.serve(2000);
    await w.serve(500, { candidateThrows: () => new Error("down") });
    expect(w.rolledBackBy).toBe(trips ? "error-rate" : null);
  });

  // The poisoned key's share of the failures, and how often it counts, are what keeps it from tripping.
  const uncapped = { failuresPerKeyAndMinute: 255, failingKeysMin: 1, topKeyShareMax: 1 };
  const noCaps = { engine: uncapped, newException: { keysMin: 1 } };
  it.each<[string, object, boolean]>([
    ["however often it comes", {}, false],
    ["unless keys are not looked at", noCaps, true],
    [
      "unless keys are not looked at by the error rule",
      { ...noCaps, ...off("newException") },
      true,
    ],
  ])("but never those of one poisoned key, %s", async (_which, policy, trips) => {
    const w = await world(policy, 50);
    await w.serve(1000);
    const poison = Array.from({ length: 100 }, (_, n) => `poison-${n}`).find(
      (key) => w.changeover.explain(name, key).decision.path === "candidate",
    );
    let thrown = 0;
    const poisoned = (key: string): Error | null => {
      if (key !== poison) return null;
      thrown += 1;
      return Object.assign(new Error("poison"), { code: "E_POISON" });
    };
    const keyOf = (n: number): string => (n % 2 === 0 ? (poison ?? "") : `user-${n}`);
    await w.serve(10_000, { candidateThrows: poisoned }, keyOf);
    expect(w.rolledBackBy !== null).toBe(trips);
    expect(thrown).toBeGreaterThanOrEqual(trips ? 3 : 5000);
  });
});

const fixture = (file: string): string =>
  fileURLToPath(new URL(`fixtures/${file}`, import.meta.url));

/** Runs a fixture to its end; its lines of JSON, and how it ended. */
function run(
  file: string,
  argument: object,
  flags: string[] = [],
): Promise<{ lines: Record<string, unknown>[]; code: number | null }> {
  const child = spawn(process.execPath, [...flags, fixture(file), JSON.stringify(argument)], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  clean.push(() => child.kill("SIGKILL"));
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      const lines = text.split("\n").filter((line) => line.startsWith("{"));
      resolve({ lines: lines.map((line) => JSON.parse(line)), code });
    });
  });
}

describe("a candidate that leaks, in a process with a heap of 128 MB, is rolled back before the heap ends it", () => {
  it.each(policies("memory"))("%s", async (_which, policy, survives) => {
    const { lines, code } = await run("leaking-candidate.ts", policy, ["--max-old-space-size=128"]);
    const events = lines.map(({ event }) => event);
    expect(events).toEqual(survives ? ["rolled-back", "survived"] : []);
    expect(code === 0).toBe(survives);
    if (survives) expect(lines[0]).toMatchObject({ rule: "memory" });
  });
});

describe("a group of processes that runs out of memory climbs the ladder step by step", () => {
  it.each(policies("memory"))("%s", (_which, policy, climbs) => {
    const root = mkdtempSync(join(tmpdir(), "ladder-"));
    clean.push(() => rmSync(root, { recursive: true, force: true }));
    const group = join(root, "sys/fs/cgroup");
    mkdirSync(group, { recursive: true });
    mkdirSync(join(root, "proc/self"), { recursive: true });
    writeFileSync(join(root, "proc/self/cgroup"), "0::/\n");
    writeFileSync(join(group, "memory.max"), "1000000000\n");
    writeFileSync(join(group, "memory.stat"), "inactive_file 100000000\n");
    const use = (share: number): void =>
      writeFileSync(join(group, "memory.current"), `${1_000_000_000 * share + 100_000_000}\n`);
    use(0.3);
    const clock = new ManualClock();
    const operation = anOperation({ name, cost: () => ({ legacy: 1, candidate: 9 }) });
    const guard = new Guard({
      policy: parsePolicy(policy),
      clock,
      logger: silentLogger,
      report: (_part, error) => {
        throw error;
      },
      memory: new MemorySampler({ root }),
    });
    clean.push(() => guard.close());
    guard.watch(operation);
    const atUse = (share: number, seconds: number): unknown[] => {
      use(share);
      guard.observe(observationOf({ path: "candidate" }, operation, clock.now()));
      clock.advance(seconds * 1000);
      const { shedShadows, hold } = guard.backPressure;
      return [shedShadows, hold, operation.shedding, operation.latch.tripped];
    };
    const nothing = [false, false, false, false];
    const steps = [
      atUse(0.79, 60),
      atUse(0.81, 6),
      atUse(0.86, 6),
      atUse(0.72, 120),
      atUse(0.6, 61),
      atUse(0.93, 3),
    ];
    const expected = [
      nothing,
      [true, false, false, false],
      [true, true, true, false],
      [true, true, true, false],
      nothing,
      [true, true, true, true],
    ];
    expect(steps).toEqual(climbs ? expected : steps.map(() => nothing));
  });
});

describe("100 uploads of 50 MiB that run on the candidate when it is rolled back", () => {
  const mib = 1024 * 1024;

  it("all end well under a limit of 1 GiB, and none that was acknowledged is lost", async () => {
    const limits = { legacyBytes: 256 * mib, candidateBytes: 256 * mib };
    const { lines, code } = await run("uploads-under-rollback.ts", { limits, later: 20 });
    expect(code).toBe(0);
    expect(lines[0]).toMatchObject({
      inFlight: 100,
      acknowledged: 120,
      failed: 0,
      lost: 0,
      ranOn: { candidate: 100, legacy: 20 },
      result: "complete",
    });
    expect(lines[0]?.["peakMib"]).toBeLessThan(1024);
  });

  it("would not without admission: legacy alone then takes more than there is", async () => {
    const limits = { legacyBytes: 1e12, candidateBytes: 1e12 };
    const { lines } = await run("uploads-under-rollback.ts", { limits, later: 20 });
    expect(lines[0]?.["peakMib"]).toBeGreaterThan(1024);
  });
});
