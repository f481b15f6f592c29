import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hashOfFile, makeFile } from "../../bench/cases/upload-file.ts";
import type { TransferNeed } from "../../bench/children/transfer-memory.ts";
import type { TransferJob, TransferLaunch } from "../../bench/children/transfer-rounds.ts";
import type { TransferName } from "../../bench/subjects/transfer.ts";
import { Workplace } from "../../bench/workplace.ts";
import { systemClock } from "../../src/base/clock.ts";

const program = (name: string): URL => new URL(`../../bench/children/${name}.ts`, import.meta.url);
const subjects: readonly TransferName[] = [
  "changeover",
  "changeover, hash known",
  "legacy",
  "supabase-js, Buffer",
  "supabase-js, stream",
  "tus-js-client",
  "undici stream",
  "undici stream + SHA-256",
  "SHA-256 of one core",
  "bare loopback copy",
];

let folder: string;
let workplace: Workplace;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "changeover-transfers-"));
  const signal = new AbortController().signal;
  const options = { tier: "quick", seed: 1, clock: systemClock, signal } as const;
  workplace = new Workplace({ ...options, update: () => undefined }, folder);
});

afterAll(async () => {
  await workplace.close();
  await rm(folder, { recursive: true, force: true });
});

async function filesOf(
  bytes: number,
): Promise<Pick<TransferJob, "url" | "rawPort" | "path" | "warmupPath" | "hashes">> {
  const path = join(folder, `${bytes}.bin`);
  const warmupPath = join(folder, `${bytes}-warm-up.bin`);
  await makeFile(path, bytes);
  await makeFile(warmupPath, 1000);
  const hashes = { [path]: await hashOfFile(path), [warmupPath]: await hashOfFile(warmupPath) };
  return { ...(await workplace.context().sink()), path, warmupPath, hashes };
}

describe("a subject of the transfers", () => {
  it("sends every byte, each by each, or the launch fails", async () => {
    const input = { subjects, ...(await filesOf(7_000_001)), rounds: 1, seed: 1 };
    const { elapsed, cpu } = await workplace
      .context()
      .runChild<TransferLaunch>({ program: program("transfer-rounds"), input });
    expect(elapsed.map(({ name }) => name)).toEqual(subjects);
    for (const series of [...elapsed, ...cpu]) expect(series.values).toHaveLength(1);
  });

  it("is refused when the bytes are not those that were announced", async () => {
    const files = await filesOf(1_000_000);
    const hashes = { ...files.hashes, [files.path]: "0".repeat(64) };
    const input = { subjects: ["changeover"], ...files, hashes, rounds: 1, seed: 1 };
    const launch = workplace
      .context()
      .runChild<TransferLaunch>({ program: program("transfer-rounds"), input });
    await expect(launch).rejects.toThrow(/FILES_SOURCE_CHANGED|HARNESS_CHILD_FAILED|changed/);
  });

  it("that reads and hashes at one go is seen to block the event loop from its first tick on", async () => {
    const input = { subject: "legacy", ...(await filesOf(100_000_000)) };
    const need = await workplace
      .context()
      .runChild<TransferNeed>({ program: program("transfer-memory"), input });
    // 100 MB cannot be hashed in less: 2 GB/s and more is beyond any core.
    expect(need.longestBlockMs).toBeGreaterThan(30);
    expect(need.peak.growthBytes).toBeGreaterThan(90_000_000);
    expect(need.cpuMs).toBeGreaterThan(30);
  });
});
