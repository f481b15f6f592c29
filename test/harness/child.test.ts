import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { codeOf } from "../../src/base/errors.ts";
import { type ChildJob, runInChild } from "../../src/harness/child.ts";
import type { PeakGrowth } from "../../src/harness/memory.ts";
import { isGoneWithin, pidOf } from "./processes.ts";
import type { TestJob } from "./programs/job.ts";

const program = new URL("./programs/job.ts", import.meta.url);
const MIB = 1024 * 1024;

function job(input: TestJob, more: Partial<ChildJob> = {}): ChildJob {
  return { program, input, clock: systemClock, timeoutMs: 15_000, ...more };
}

/** Runs a job that must fail and returns its error and the pid it had. */
async function failing(
  input: TestJob,
  more: Partial<ChildJob> = {},
): Promise<{ error: unknown; pid: number }> {
  let pid = 0;
  const onProgress = (text: string): void => {
    pid = pidOf(text);
  };
  const error = await runInChild(job(input, { onProgress, ...more })).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return { error, pid };
}

describe("a job in a child process", () => {
  it("gets its input and flags, inherits no environment, and answers", async () => {
    const flags = ["--max-old-space-size=64"];
    const answer = await runInChild<{ double: number; flags: string[]; environment: string[] }>(
      job({ act: "double", value: 21 }, { nodeFlags: flags }),
    );
    expect(answer.double).toBe(42);
    expect(answer.flags).toEqual(flags);
    expect(answer.environment.filter((name) => !name.startsWith("NODE_"))).toEqual([]);
  });

  it("fails with the program's own message, code and last output", async () => {
    const { error, pid } = await failing({ act: "throw", value: 3 });
    expect(codeOf(error)).toBe("HARNESS_CHILD_FAILED");
    expect(String(error)).toContain("value 3");
    expect((error as { details: unknown }).details).toEqual({
      code: "TEST_CODE",
      message: "value 3",
    });
    expect(await isGoneWithin(pid, 0)).toBe(true);
  });

  it("fails with the exit code of a program that ends without an answer", async () => {
    const { error } = await failing({ act: "exit", value: 0 });
    expect(codeOf(error)).toBe("HARNESS_CHILD_FAILED");
    expect(String(error)).toContain("code 7");
  });

  it.each(["hang", "spin"] as const)(
    "kills a program that will %s at its time limit",
    async (act) => {
      const { error, pid } = await failing({ act, value: 0 }, { timeoutMs: 1500 });
      expect(codeOf(error)).toBe("HARNESS_CHILD_TIMEOUT");
      expect(pid).toBeGreaterThan(0);
      expect(await isGoneWithin(pid, 0)).toBe(true);
    },
  );

  it("is killed when its signal aborts, and rejects with the signal's reason", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    let pid = 0;
    const onProgress = (text: string): void => {
      pid = pidOf(text);
      controller.abort(reason);
    };
    const { signal } = controller;
    const running = runInChild(job({ act: "hang", value: 0 }, { signal, onProgress }));
    await expect(running).rejects.toBe(reason);
    expect(await isGoneWithin(pid, 0)).toBe(true);
  });

  it("is not started for a signal that has aborted already", async () => {
    const { error, pid } = await failing(
      { act: "double", value: 1 },
      { signal: AbortSignal.abort(new Error("too late")) },
    );
    expect(String(error)).toContain("too late");
    expect(pid).toBe(0);
  });

  it("ends itself when its parent is killed", async () => {
    const parent = spawn(
      process.execPath,
      [fileURLToPath(new URL("./programs/parent.ts", import.meta.url))],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const [chunk] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = pidOf(chunk.toString());
    parent.kill("SIGKILL");
    expect(await isGoneWithin(pid, 10_000)).toBe(true);
  });
});

describe("the peak memory of a process", () => {
  it("sees 64 MiB that were held only for a moment", async () => {
    const peak = await runInChild<PeakGrowth>(job({ act: "allocate", value: 64 }));
    expect(peak.source).toBe(process.platform === "linux" ? "VmHWM" : "maxRSS");
    expect(peak.growthBytes).toBe(Math.max(0, peak.peakBytes - peak.idleBytes));
    expect(peak.growthBytes / MIB).toBeGreaterThan(60);
    expect(peak.growthBytes / MIB).toBeLessThan(80);
  });

  it.runIf(process.platform === "linux")("forgets what was held before it began", async () => {
    const peak = await runInChild<PeakGrowth>(
      job({ act: "allocate-before", value: 128 }, { nodeFlags: ["--expose-gc"] }),
    );
    expect(peak.growthBytes / MIB).toBeLessThan(8);
  });

  it("is little for a process that does nothing", async () => {
    const peak = await runInChild<PeakGrowth>(job({ act: "allocate", value: 0.01 }));
    expect(peak.growthBytes / MIB).toBeLessThan(8);
  });
});
