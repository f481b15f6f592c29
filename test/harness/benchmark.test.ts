import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readArguments } from "../../bench/arguments.ts";
import type { BenchmarkCase, CaseContext } from "../../bench/case.ts";
import {
  benchmarkCases,
  chooseCases,
  leftOut,
  orderForTime,
  readDurations,
  secondsOf,
} from "../../bench/cases.ts";
import { progressTo } from "../../bench/progress.ts";
import { runBenchmark } from "../../bench/run.ts";
import { readTargets } from "../../bench/targets.ts";
import { systemClock } from "../../src/base/clock.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { currentLoad } from "../../src/harness/machine.ts";
import { eachTestFolder } from "../support/test-folder.ts";
import { isGoneWithin } from "./processes.ts";

const main = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const folder = eachTestFolder();

function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: folder.path },
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    err += chunk.toString();
  });
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, out, err }));
  return { child, ended };
}

/** The processes that process `pid` has started. */
async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text
    .split(" ")
    .filter((each) => each !== "")
    .map(Number);
}

describe("the benchmark's command", () => {
  it("lists its cases", async () => {
    const { code, out } = await start("--list").ended;
    expect(code).toBe(0);
    for (const name of ["upload-1mb", "upload-10mb", "upload-50mb", "upload-10x5mb"]) {
      expect(out).toContain(`${name} `);
    }
    expect(out).toContain("upload-memory ");
    expect(out).toMatch(/^upload-1gib .* \(--full\)$/m);
    for (const name of ["facade-overhead", "facade-peers", "facade-heap", "shadow-cost"]) {
      expect(out).toContain(`${name} `);
    }
  });

  it("lists what would run, and about how long it takes", async () => {
    const { code, out } = await start("--list", "--full", "--case", "peers").ended;
    expect(code).toBe(0);
    expect(out).toMatch(/^peers-1gib +\d+ min {2}one file of 1 GiB .*\(--full\)$/m);
    expect(out).not.toContain("upload-1mb");
    expect(out).toMatch(
      /^A full run of 4 cases takes about [\d.]+ (min|h) on two cores\. Not timed yet: peers-5gib\.$/m,
    );
    const json = await start("--list", "--json", "--quick", "--case", "upload").ended;
    const listed = JSON.parse(json.out) as { name: string; seconds: number }[];
    expect(listed.map(({ name }) => name)).toContain("upload-10x5mb-cloud");
  });

  it("does not mind that nobody reads on", async () => {
    const { child, ended } = start("--list");
    (child.stdout as Readable).destroy();
    expect(await ended).toMatchObject({ code: 0, err: "" });
  });

  it("names the cases there are when it is asked for another, and exits with 2", async () => {
    const { code, out, err } = await start("--case", "upload-2mb").ended;
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).toMatch(/BENCH_USAGE: There is no case "upload-2mb"\. Known: upload-1mb, /);
  });

  it("compares versions in cases of their own, which can be named", async () => {
    const { code, err } = await start("--compare", "HEAD", "--case", "upload-1mb").ended;
    expect(code).toBe(2);
    expect(err).toContain(
      'There is no case "upload-1mb" with --compare. Known: compare-upload, compare-hash, ',
    );
    const saved = await start("--compare", "HEAD", "--save-reference").ended;
    expect(saved.code).toBe(2);
    expect(saved.err).toContain("--compare goes without --save-reference");
    expect(readArguments(["--compare", "HEAD", "--case", "hash"]).cases).toEqual(["hash"]);
  });

  it("refuses an option it does not have, with its usage", async () => {
    const { code, err } = await start("--fast").ended;
    expect(code).toBe(2);
    expect(err).toContain("Usage: npm run bench");
  });

  it.runIf(process.platform === "linux")(
    "ends its self-test on Ctrl-C and leaves no process and no file behind",
    async () => {
      const { child, ended } = start("--self-test");
      await once(child.stdout as Readable, "data");
      const children = await childrenOf(child.pid ?? 0);
      child.kill("SIGINT");
      expect(await ended).toMatchObject({ code: 130, err: "Stopped.\n" });
      for (const pid of children) expect(await isGoneWithin(pid, 0)).toBe(true);
      expect(await readdir(folder.path)).toEqual([]);
    },
  );

  it.runIf(process.platform === "linux")(
    "ends on Ctrl-C and leaves no process and no file behind",
    async () => {
      const { child, ended } = start("--case", "facade-overhead");
      let children: number[] = [];
      while (children.length === 0 && child.exitCode === null) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        children = await childrenOf(child.pid ?? 0);
      }
      // A program that started it may tell it what the terminal has told it already.
      child.kill("SIGINT");
      child.kill("SIGTERM");
      const { code, out, err } = await ended;
      expect(code).toBe(130);
      expect(out).toBe("");
      expect(err).toContain("Stopped; nothing was written.");
      expect(children).toHaveLength(1);
      for (const pid of children) expect(await isGoneWithin(pid, 0)).toBe(true);
      expect(await readdir(folder.path)).toEqual([]);
    },
  );
});

const nothing = { comparisons: [], distributions: [] };

function benchCase(name: string, run: BenchmarkCase["run"]): BenchmarkCase {
  return { name, title: name, run };
}

describe("a run", () => {
  const options = {
    tier: "quick" as const,
    seed: 1,
    clock: systemClock,
    progress: { begin: () => undefined, update: () => undefined, end: () => undefined },
  };
  it("reports a case that fails and still measures the others", async () => {
    const measured: string[] = [];
    const report = await runBenchmark(
      [
        benchCase("first", () => Promise.reject(Object.assign(new Error("no"), { code: "X_Y" }))),
        benchCase("second", async () => {
          measured.push("second");
          return nothing;
        }),
      ],
      { ...options, signal: new AbortController().signal },
    );
    expect(report.failures).toEqual([{ case: "first", code: "X_Y", message: "no" }]);
    expect(measured).toEqual(["second"]);
    expect(report.machine.loadAfter).toHaveLength(currentLoad().length);
  });

  it("skips a case for which the machine is too small, and says why", async () => {
    const never = (): Promise<never> => Promise.reject(new Error("was run"));
    const report = await runBenchmark(
      [
        { ...benchCase("cores", never), needs: { cores: 10_000 } },
        { ...benchCase("memory", never), needs: { memoryBytes: 1e18 } },
        { ...benchCase("disk", never), needs: { diskBytes: 1e18 } },
        { ...benchCase("program", never), needs: { program: "no-such-program" } },
      ],
      { ...options, signal: new AbortController().signal },
    );
    expect(report.failures).toEqual([]);
    const reasons = report.skipped.map(({ reason }) => reason);
    expect(reasons[0]).toMatch(/^needs 10000 cores, there are \d+$/);
    expect(reasons[1]).toMatch(/^needs 1000000000\.0 GB of memory, [\d.]+ GB are free$/);
    expect(reasons[2]).toMatch(/^needs 1000000000\.0 GB of disk, [\d.]+ GB are free$/);
    expect(reasons[3]).toBe("needs the program no-such-program, which is not installed");
  });

  it("asks for as much memory as the hungriest peer of a case holds", () => {
    const needs = (name: string): number =>
      benchmarkCases.find((each) => each.name === name)?.needs?.memoryBytes ?? 0;
    // Buffers several times over, and supabase-js a whole stream.
    expect(needs("peers-1gib")).toBeGreaterThan(4 * 2 ** 30);
    expect(needs("peers-5gib")).toBeGreaterThan(5 * 2 ** 30);
    expect(needs("peers-256mb")).toBeLessThan(1e9);
  });

  it("begins no further case when its time is over", async () => {
    const report = await runBenchmark(
      [benchCase("late", () => Promise.reject(new Error("was run")))],
      { ...options, limitMs: -1, signal: new AbortController().signal },
    );
    expect(report.skipped).toEqual([{ case: "late", reason: "the time of this tier was used up" }]);
  });

  it("begins no case that would not be over in time, on a machine as slow as this one is", async () => {
    const clock = new ManualClock();
    const measured: string[] = [];
    const taking = (name: string, seconds: number): BenchmarkCase =>
      benchCase(name, async () => {
        measured.push(name);
        clock.advance(seconds * 1000);
        return nothing;
      });
    const seconds: Record<string, number> = { first: 10, long: 30, short: 10, unknown: 0 };
    const report = await runBenchmark(
      // Twice as slow as it was timed: after 80 s the second long one would take 60 more, not 30.
      [taking("first", 20), taking("long", 60), taking("long", 60), taking("short", 20)],
      {
        ...options,
        clock,
        limitMs: 115_000,
        secondsOf: ({ name }) => seconds[name] ?? null,
        signal: new AbortController().signal,
      },
    );
    expect(measured).toEqual(["first", "long", "short"]);
    expect(report.skipped).toEqual([{ case: "long", reason: "the time of this tier was used up" }]);
  });

  it("ends with the signal's reason, runs no further case and removes its folder", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    let folder = "";
    const running = runBenchmark(
      [
        benchCase("first", async (context: CaseContext) => {
          folder = context.folder;
          controller.abort(reason);
          context.signal.throwIfAborted();
          return nothing;
        }),
        benchCase("second", () => Promise.reject(new Error("was run"))),
      ],
      { ...options, signal: controller.signal },
    );
    await expect(running).rejects.toBe(reason);
    expect(folder).not.toBe("");
    await expect(readdir(folder)).rejects.toThrow(/ENOENT/);
  });
});

describe("the choice of cases", () => {
  const names = (asked: readonly string[], tier: "quick" | "default" | "full"): string[] =>
    chooseCases(asked, tier).map(({ name }) => name);

  it("is a tier's, which are parts of each other", () => {
    const [quick, usual, full] = [names([], "quick"), names([], "default"), names([], "full")];
    expect(usual).toEqual(expect.arrayContaining(quick));
    expect(full).toEqual(expect.arrayContaining(usual));
    expect(full).toContain("peers-5gib");
    expect(usual).not.toContain("peers-5gib");
  });

  it("is a case by its name in any tier, or a group inside its tier", () => {
    expect(names(["peers-5gib"], "quick")).toEqual(["peers-5gib"]);
    expect(names(["peers"], "quick")).toEqual(["peers-50mb", "peers-256mb"]);
    expect(names(["upload"], "default")).toContain("upload-256mb");
    expect(names(["upload"], "default")).not.toContain("upload-1gib");
    const more = chooseCases([], "default", ["gateway-memory"]).map(({ name }) => name);
    expect(more.filter((name) => !names([], "default").includes(name))).toEqual(["gateway-memory"]);
  });

  it("says which of a group it left to --full, and how to run it", () => {
    const left = leftOut(["peers"], "quick");
    expect(left.map((each) => each.case)).toEqual(["peers-1gib", "peers-5gib"]);
    expect(left[0]?.reason).toBe("runs with --full, or with --case peers-1gib");
    expect(leftOut(["peers"], "full")).toEqual([]);
    expect(leftOut(["peers-1gib"], "quick")).toEqual([]);
    expect(leftOut(["peers"], "default", ["peers-1gib"]).map((each) => each.case)).toEqual([
      "peers-5gib",
    ]);
    expect(leftOut([], "default")).toEqual([]);
  });

  it("puts first what is soon over and what targets need, where time is limited", () => {
    const of = (name: string): BenchmarkCase => benchCase(name, () => Promise.resolve(nothing));
    const cases = ["long", "longer", "judged", "short", "untimed"].map(of).toReversed();
    const seconds: Record<string, number> = { long: 20, longer: 30, judged: 60, short: 3 };
    const ordered = orderForTime(cases, [{ case: "judged" }], ({ name }) => seconds[name] ?? null);
    expect(ordered.map(({ name }) => name)).toEqual([
      "untimed",
      "short",
      "judged",
      "long",
      "longer",
    ]);
  });

  it("has every target's case measured in time, by how long cases once took", async () => {
    const known = await readDurations();
    const { targets } = await readTargets();
    const usual = chooseCases([], "default");
    const ordered = orderForTime(usual, targets, (each) => secondsOf(each, "default", known));
    let endedAt = 0;
    for (const each of ordered) {
      endedAt += secondsOf(each, "default", known) ?? 0;
      if (targets.some((target) => target.case === each.name)) expect(endedAt).toBeLessThan(590);
    }
  });
});

describe("progress", () => {
  const recorded = (isTTY: boolean) => {
    const written: string[] = [];
    const write = (text: string): boolean => written.push(text) > 0;
    const stream = { isTTY, columns: 40, write } as unknown as NodeJS.WriteStream;
    const progress = progressTo(stream);
    progress.begin("upload-1mb");
    progress.update("launch 1 of 4, which is a text that does not fit on the line");
    progress.end();
    return written;
  };

  it("is one line that is overwritten and never wraps, on a terminal", () => {
    expect(recorded(true)).toEqual([
      "\r\u001b[2Kupload-1mb",
      "\r\u001b[2Kupload-1mb: launch 1 of 4, which is a t",
      "\r\u001b[2K",
    ]);
  });

  it("is one plain line for each case elsewhere", () => {
    expect(recorded(false)).toEqual(["measuring upload-1mb\n"]);
  });
});

describe("how long cases take", () => {
  it("is known of every case but the longest and what two cores cannot run, and of no other", async () => {
    const known = await readDurations();
    const untimed = benchmarkCases.filter((each) => secondsOf(each, "full", known) === null);
    expect(untimed.map(({ name }) => name)).toEqual(["peers-5gib", "hashing-all-cores"]);
    const names = benchmarkCases.map(({ name }) => name);
    for (const timed of [known.quick, known.default]) {
      expect(Object.keys(timed).filter((name) => !names.includes(name))).toEqual([]);
    }
  });

  it("is taken from another tier's samples where its own was not timed", () => {
    const known = { about: "", quick: { a: 10 }, default: { b: 30 } };
    const of = (name: string, tier: "quick" | "default" | "full"): number | null =>
      secondsOf(
        benchCase(name, () => Promise.resolve(nothing)),
        tier,
        known,
      );
    expect([of("a", "quick"), of("a", "default"), of("a", "full")]).toEqual([10, 30, 100]);
    expect([of("b", "quick"), of("b", "default"), of("b", "full")]).toEqual([10, 30, 100]);
    expect(of("c", "full")).toBe(null);
  });
});
