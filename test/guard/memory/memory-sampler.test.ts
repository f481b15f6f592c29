import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { MemoryLadder } from "../../../src/guard/memory/memory-ladder.ts";
import { MemorySampler, type ProcessMemory } from "../../../src/guard/memory/memory-sampler.ts";
import { parsePolicy } from "../../../src/guard/policy.ts";

const mib = 1024 * 1024;
const roots: string[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

function machine(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), "memory-"));
  roots.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const aProcess = (numbers: Partial<Record<keyof ProcessMemory, number>> = {}): ProcessMemory => ({
  rssBytes: () => numbers.rssBytes ?? 100 * mib,
  heapUsedBytes: () => numbers.heapUsedBytes ?? 40 * mib,
  heapLimitBytes: () => numbers.heapLimitBytes ?? 4000 * mib,
  totalBytes: () => numbers.totalBytes ?? 16_000 * mib,
  constrainedBytes: () => numbers.constrainedBytes ?? 18_446_744_073_709_552_000,
  loopBusy: () => numbers.loopBusy ?? 0.1,
});

const v2 = {
  "proc/self/cgroup": "0::/app/web\n",
  "sys/fs/cgroup/app/web/memory.max": `${200 * mib}\n`,
  "sys/fs/cgroup/app/web/memory.current": `${180 * mib}\n`,
  "sys/fs/cgroup/app/web/memory.stat": `anon 1\ninactive_file ${80 * mib}\nfile 2\n`,
};

describe("the memory sampler", () => {
  it("reads cgroup v2, without the page cache", () => {
    const sample = new MemorySampler({ root: machine(v2), process: aProcess() }).sample();
    expect(sample).toMatchObject({ limitFrom: "cgroup-v2", usedBytes: 100 * mib, ratio: 0.5 });
  });

  it("goes by the group that is closest to its limit, of its own and those around it", () => {
    const root = machine({
      ...v2,
      "sys/fs/cgroup/app/memory.max": `${400 * mib}`,
      "sys/fs/cgroup/app/memory.current": `${360 * mib}`,
    });
    expect(new MemorySampler({ root, process: aProcess() }).sample().ratio).toBe(0.9);
  });

  it("finds the files at the top when a container shows nothing else", () => {
    const root = machine({
      "proc/self/cgroup": "0::/some/where/else\n",
      "sys/fs/cgroup/memory.max": `${100 * mib}`,
      "sys/fs/cgroup/memory.current": `${70 * mib}`,
    });
    expect(new MemorySampler({ root, process: aProcess() }).sample().ratio).toBe(0.7);
  });

  it("falls back to cgroup v1 when v2 sets no limit", () => {
    const root = machine({
      "proc/self/cgroup": "9:cpu,cpuacct:/\n7:memory:/box\n0::/\n",
      "sys/fs/cgroup/memory.max": "max\n",
      "sys/fs/cgroup/memory.current": "1",
      "sys/fs/cgroup/memory/box/memory.limit_in_bytes": `${100 * mib}`,
      "sys/fs/cgroup/memory/box/memory.usage_in_bytes": `${90 * mib}`,
      "sys/fs/cgroup/memory/box/memory.stat": `inactive_file 5\ntotal_inactive_file ${10 * mib}\n`,
    });
    const sample = new MemorySampler({ root, process: aProcess() }).sample();
    expect(sample).toMatchObject({ limitFrom: "cgroup-v1", ratio: 0.8 });
  });

  it("takes an absurd limit for none, and asks the process, then the configuration, then the heap", () => {
    const root = machine({
      "proc/self/cgroup": "7:memory:/\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
      "sys/fs/cgroup/memory/memory.usage_in_bytes": "1",
    });
    const constrained = aProcess({ constrainedBytes: 200 * mib });
    expect(new MemorySampler({ root, process: constrained }).sample()).toMatchObject({
      limitFrom: "constrained",
      ratio: 0.5,
    });
    const configured = new MemorySampler({
      root,
      process: aProcess(),
      limitBytes: 400 * mib,
    }).sample();
    expect(configured).toMatchObject({ limitFrom: "configured", ratio: 0.25 });
    const heap = new MemorySampler({ root, process: aProcess() }).sample();
    expect(heap).toMatchObject({ limitFrom: "heap", ratio: 0.01 });
  });

  it("lets the heap's own limit count when it is nearer", () => {
    const full = aProcess({ heapUsedBytes: 3800 * mib });
    expect(new MemorySampler({ root: machine(v2), process: full }).sample().ratio).toBe(0.95);
  });

  it("is strained when tasks stall on memory or the event loop has no time left", () => {
    const sampler = (pressure: string, loopBusy = 0.1): MemorySampler => {
      const files = { ...v2, "sys/fs/cgroup/app/web/memory.pressure": pressure };
      return new MemorySampler({ root: machine(files), process: aProcess({ loopBusy }) });
    };
    const psi = (avg10: number): string =>
      `some avg10=${avg10} avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=1\n`;
    expect(sampler(psi(12.5)).sample().strained).toBe(true);
    expect(sampler(psi(9.5)).sample().strained).toBe(false);
    expect(sampler(psi(0), 0.99).sample().strained).toBe(true);
    const machineWide = machine({ ...v2, "proc/pressure/memory": psi(30) });
    expect(new MemorySampler({ root: machineWide, process: aProcess() }).sample().strained).toBe(
      true,
    );
  });

  it("reads this very process and machine", () => {
    const { ratio, usedBytes, limitBytes } = new MemorySampler().sample();
    expect(ratio).toBeGreaterThan(0);
    expect(usedBytes).toBeGreaterThan(0);
    expect(limitBytes).toBeGreaterThan(usedBytes / 2);
  });
});

describe("the memory ladder", () => {
  const ladder = (): MemoryLadder => new MemoryLadder(parsePolicy({}).memory);

  it("does not climb on peaks that do not last", () => {
    const one = ladder();
    for (let ms = 0; ms < 60_000; ms += 250) one.step(ms % 4000 === 0 ? 0.5 : 0.99 * 0.9, ms);
    expect(one.level).toBe(0);
  });

  it("climbs rung by rung and stays where it is without samples", () => {
    const one = ladder();
    expect([0, 4999, 5000].map((ms) => one.step(0.86, ms))).toEqual([0, 0, 2]);
    expect(one.step(null, 600_000)).toBe(2);
    expect([600_000, 601_000].map((ms) => one.step(0.93, ms))).toEqual([2, 3]);
    expect([700_000, 759_999].map((ms) => one.step(0.5, ms))).toEqual([3, 3]);
    expect(one.step(0.5, 760_000)).toBe(0);
  });
});
