import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { BenchmarkCase, CaseContext } from "../../bench/case.ts";
import { chooseCases } from "../../bench/cases.ts";
import { progressTo } from "../../bench/progress.ts";
import { runBenchmark } from "../../bench/run.ts";
import { systemClock } from "../../src/base/clock.ts";
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

  it("names the cases there are when it is asked for another, and exits with 2", async () => {
    const { code, out, err } = await start("--case", "upload-2mb").ended;
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).toMatch(/BENCH_USAGE: There is no case "upload-2mb"\. Known: upload-1mb, /);
  });

  it("refuses an option it does not have, with its usage", async () => {
    const { code, err } = await start("--fast").ended;
    expect(code).toBe(2);
    expect(err).toContain("Usage: npm run bench");
  });

  it.runIf(process.platform === "linux")(
    "ends on Ctrl-C and leaves no process and no file behind",
    async () => {
      const { child, ended } = start("--case", "facade-overhead");
      let children: number[] = [];
      while (children.length === 0 && child.exitCode === null) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        children = await childrenOf(child.pid ?? 0);
      }
      child.kill("SIGINT");
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

describe("a run", () => {
  const options = {
    tier: "quick" as const,
    seed: 1,
    clock: systemClock,
    progress: { begin: () => undefined, update: () => undefined, end: () => undefined },
  };
  const benchCase = (name: string, run: BenchmarkCase["run"]): BenchmarkCase => ({
    name,
    title: name,
    run,
  });
  const nothing = { comparisons: [], distributions: [] };

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

  it("begins no further case when its time is over", async () => {
    const report = await runBenchmark(
      [benchCase("late", () => Promise.reject(new Error("was run")))],
      { ...options, limitMs: -1, signal: new AbortController().signal },
    );
    expect(report.skipped).toEqual([{ case: "late", reason: "the time of this tier was used up" }]);
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
    expect(names(["peers"], "quick")).toEqual(["peers-50mb"]);
    expect(names(["upload"], "default")).toContain("upload-256mb");
    expect(names(["upload"], "default")).not.toContain("upload-1gib");
    const more = chooseCases([], "default", ["gateway-memory"]).map(({ name }) => name);
    expect(more.filter((name) => !names([], "default").includes(name))).toEqual(["gateway-memory"]);
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
