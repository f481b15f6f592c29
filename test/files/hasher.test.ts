import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFile, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Worker } from "node:worker_threads";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { type LogFields, silentLogger } from "../../src/base/logger.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { CHUNK_BYTES, fileSource } from "../../src/files/source.ts";
import {
  Hasher,
  type HasherOptions,
  hashHere,
  hashWorkersFor,
} from "../../src/files/streaming/hasher.ts";
import { SourceHashes } from "../../src/files/streaming/source-hashes.ts";

const { signal } = new AbortController();
const run = promisify(execFile);

describe("hash workers", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "changeover-hasher-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const opened: Hasher[] = [];
  afterEach(async () => {
    for (const hasher of opened.splice(0)) await hasher.close();
  });
  const open = (options: Partial<HasherOptions> = {}): Hasher => {
    const hasher = new Hasher({
      clock: systemClock,
      logger: silentLogger,
      workers: 2,
      sharedFromBytes: 0,
      ...options,
    });
    opened.push(hasher);
    return hasher;
  };
  let files = 0;
  const fileOf = async (bytes: Uint8Array): Promise<string> => {
    files += 1;
    const path = join(folder, `file-${files}`);
    await writeFile(path, bytes);
    return path;
  };
  /** A file of so many zero bytes that takes no room. */
  const holeOf = async (sizeBytes: number): Promise<string> => {
    const path = await fileOf(new Uint8Array());
    await truncate(path, sizeBytes);
    return path;
  };
  const sha256Of = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
  const hashAll = async (hasher: Hasher, paths: readonly string[]): Promise<string[]> => {
    const sources = await Promise.all(paths.map((path) => fileSource(path)));
    return Promise.all(sources.map((source) => hasher.hash(source, signal)));
  };

  it("agree with one hash of the whole, for every size", async () => {
    const hasher = open();
    const border = fc
      .tuple(fc.constantFrom(0, 1, 2, 3), fc.integer({ min: -1, max: 1 }))
      .map(([chunks, by]) => Math.max(0, chunks * CHUNK_BYTES + by));
    const size = fc.oneof(border, fc.integer({ min: 0, max: 1_000_000 }));
    const sizes = fc.array(size, { minLength: 4, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 0, max: 255 }), async (lengths, seed) => {
        const all = lengths.map((length, index) =>
          Uint8Array.from({ length }, (_, at) => (at * 31 + index + seed) % 251),
        );
        const paths: string[] = [];
        for (const bytes of all) paths.push(await fileOf(bytes));
        expect(await hashAll(hasher, paths)).toEqual(all.map(sha256Of));
      }),
      { numRuns: 8 },
    );
    expect(hasher.use.shared).toBeGreaterThan(0);
    expect(hasher.use).toMatchObject({ workers: 2, ended: 0 });
  });

  it("are started for what comes on top of a first large local file, and for nothing else", async () => {
    const hasher = open({ sharedFromBytes: 1000 });
    const large = await fileOf(new Uint8Array(1000));
    await hashAll(hasher, [large]);
    await hashAll(hasher, [await fileOf(new Uint8Array(999)), await fileOf(new Uint8Array(10))]);
    expect(hasher.use).toEqual({ shared: 0, ended: 0, workers: 0 });
    await hashAll(hasher, [large, large]);
    expect(hasher.use).toEqual({ shared: 1, ended: 0, workers: 1 });
    const alone = open({ workers: 0 });
    await hashAll(alone, [large, large, large]);
    expect(alone.use).toEqual({ shared: 0, ended: 0, workers: 0 });
  });

  it("are all cores but two, at most four, and none on two", () => {
    expect([1, 2, 3, 4, 6, 64].map(hashWorkersFor)).toEqual([0, 0, 1, 2, 4, 4]);
  });

  it("refuse a file that was replaced, that shrinks and that grows meanwhile", async () => {
    const hashes = new SourceHashes(10, open());
    const busy = fileSource(await holeOf(50_000_000));
    const changes: readonly ((path: string) => Promise<void>)[] = [
      (path) => writeFile(path, "another"),
      (path) => truncate(path, 1_000_000),
      (path) => appendFile(path, "more"),
    ];
    for (const change of changes) {
      const path = await holeOf(50_000_000);
      const source = await fileSource(path);
      // The first is hashed here, so that this one is a worker's.
      const first = hashHere(await busy, signal);
      const here = hashes.of(await fileSource(await holeOf(20_000_000)), signal);
      const hashed = hashes.of(source, signal);
      await change(path);
      await expect(hashed).rejects.toMatchObject({ code: "FILES_SOURCE_CHANGED", status: 409 });
      await Promise.all([first, here]);
    }
    await expect(hashes.of(await busy, signal)).resolves.toMatchObject({ isTrusted: true });
  });

  it("that die are counted and told of, their files hashed all the same, and started no more", async () => {
    const told: LogFields[] = [];
    const logger = { ...silentLogger, warn: (fields: LogFields) => void told.push(fields) };
    const hasher = open({ logger, workers: 1, endedMax: 2 });
    const kill = (worker: Worker): void => void worker.terminate();
    process.on("worker", kill);
    try {
      const paths = await Promise.all([1, 2, 3, 4, 5].map(() => holeOf(3_000_000)));
      const expected = paths.map(() => sha256Of(new Uint8Array(3_000_000)));
      expect(await hashAll(hasher, paths)).toEqual(expected);
      expect(await hashAll(hasher, paths)).toEqual(expected);
    } finally {
      process.off("worker", kill);
    }
    expect(hasher.use).toEqual({ shared: 0, ended: 2, workers: 0 });
    expect(told).toEqual([
      { reason: expect.stringMatching(/^It exited/), ended: 1, endedMax: 2 },
      { reason: expect.stringMatching(/^It exited/), ended: 2, endedMax: 2 },
    ]);
  });

  it("stop at an abort, and do the next file", async () => {
    const hasher = open({ workers: 1 });
    const large = await fileSource(await holeOf(40_000_000_000));
    const [first, second, waiting] = [1, 2, 3].map(() => new AbortController());
    const reasons = [first, second, waiting].map(async (each) => {
      const { signal: own = signal } = each ?? {};
      return hasher.hash(large, own).catch((reason: unknown) => reason);
    });
    waiting?.abort("waited");
    expect(await reasons[2]).toBe("waited");
    second?.abort("in a worker");
    expect(await reasons[1]).toBe("in a worker");
    const small = await fileSource(await fileOf(Buffer.from("small")));
    expect(await hasher.hash(small, signal)).toBe(sha256Of(Buffer.from("small")));
    expect(hasher.use).toEqual({ shared: 1, ended: 0, workers: 1 });
    first?.abort("here");
    expect(await reasons[0]).toBe("here");
  });

  it("end when they are closed, also with work, which is then done without them", async () => {
    const hasher = open();
    const paths = await Promise.all([1, 2, 3].map(() => holeOf(60_000_000)));
    const expected = await hashHere(await fileSource(paths[0] ?? ""), signal);
    const hashed = hashAll(hasher, paths);
    while (hasher.use.workers === 0) await new Promise(setImmediate);
    await hasher.close();
    expect(hasher.use).toEqual({ shared: 0, ended: 0, workers: 0 });
    expect(await hashed).toEqual(paths.map(() => expected));
    expect(await hashAll(hasher, paths)).toEqual(paths.map(() => expected));
    expect(hasher.use.workers).toBe(0);
  });

  it("end after a time without work", async () => {
    const clock = new ManualClock();
    const hasher = open({ clock, idleMs: 500 });
    const path = await fileOf(new Uint8Array(10));
    await hashAll(hasher, [path, path, path]);
    clock.advance(499);
    expect(hasher.use.workers).toBe(2);
    await hashAll(hasher, [path, path]);
    clock.advance(1);
    // The one that was needed meanwhile stays.
    expect(hasher.use.workers).toBe(1);
    clock.advance(499);
    expect(hasher.use.workers).toBe(0);
  });

  it("do not keep the process alive", async () => {
    const at = (path: string): string =>
      JSON.stringify(fileURLToPath(new URL(path, import.meta.url)));
    const path = await fileOf(Buffer.from("x"));
    const program = `
      import { Hasher } from ${at("../../src/files/streaming/hasher.ts")};
      import { fileSource } from ${at("../../src/files/source.ts")};
      import { systemClock as clock } from ${at("../../src/base/clock.ts")};
      import { silentLogger as logger } from ${at("../../src/base/logger.ts")};
      const hasher = new Hasher({ clock, logger, workers: 1, sharedFromBytes: 0, idleMs: 1e6 });
      const source = await fileSource(${JSON.stringify(path)});
      const { signal } = new AbortController();
      await Promise.all([hasher.hash(source, signal), hasher.hash(source, signal)]);
      console.log(JSON.stringify(hasher.use));`;
    const words = ["--max-old-space-size=300", "--input-type=module", "-e", program];
    const { stdout } = await run(process.execPath, words, { timeout: 15_000 });
    expect(JSON.parse(stdout)).toEqual({ shared: 1, ended: 0, workers: 1 });
  });
});
