import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { PartReader } from "../../src/files/storage/resumable/part-reader.ts";
import { PartialUploads } from "../../src/files/storage/resumable/partial-uploads.ts";
import { seededBytes } from "../contract/file-manager-world.ts";

const bytes = seededBytes("in parts", 2500);
const toClose: PartialUploads[] = [];
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "changeover-partials-"));
});
afterEach(async () => {
  for (const partials of toClose.splice(0)) partials.close();
  await rm(folder, { recursive: true });
});

describe("what is remembered of unfinished uploads", () => {
  const open = (more: Partial<ConstructorParameters<typeof PartialUploads>[0]> = {}) => {
    const clock = new ManualClock();
    const options = { folder, target: "here", clock, keepMs: 1e9, keptMax: 10, ...more };
    const partials = new PartialUploads(options);
    toClose.push(partials);
    return partials;
  };
  const keyOf = (n: number) => ({
    provider: "none" as const,
    purpose: "user-data",
    sha256: String(n).repeat(64),
    sizeBytes: 5,
  });
  const keep = async (partials: PartialUploads, n: number, inMs = 1e9) => {
    const partial = await partials.claim(keyOf(n));
    await partial.begun(`place-${n}`, new ManualClock().now() + inMs);
    await partial.release();
    return partial;
  };

  it("is given to one call at a time, within a process and between processes", async () => {
    const [one, two] = [open(), open()];
    const { contentId } = await keep(one, 1);
    const claimed = await one.claim(keyOf(1));
    expect([claimed.contentId, claimed.location]).toEqual([contentId, "place-1"]);
    for (const partials of [one, two]) {
      expect((await partials.claim(keyOf(1))).location).toBeNull();
    }
    await claimed.release();
    const again = open();
    expect((await again.claim(keyOf(1))).contentId).toBe(contentId);
  });

  it("is of no use for another bucket, other bytes, or once its time is over", async () => {
    await keep(open(), 1, 1000);
    expect((await open({ target: "there" }).claim(keyOf(1))).location).toBeNull();
    expect((await open().claim({ ...keyOf(1), sizeBytes: 6 })).location).toBeNull();
    const late = new ManualClock();
    late.advance(2000);
    expect((await open({ clock: late }).claim(keyOf(1))).location).toBeNull();
  });

  it("is bounded: the oldest go first", async () => {
    const partials = open({ keptMax: 2 });
    for (const n of [1, 2, 3, 4]) await keep(partials, n, 1000 * n);
    expect(await partials.takeExpired()).toEqual(["place-1", "place-2"]);
  });

  it("survives nonsense in its folder", async () => {
    const partials = open();
    await keep(partials, 1);
    const [name = ""] = (await readdir(folder)).filter((each) => each.endsWith(".json"));
    await writeFile(join(folder, name), "{ not JSON");
    expect((await partials.claim(keyOf(1))).location).toBeNull();
  });
});

describe("parts of a run of chunks", () => {
  it("are exactly as long as asked for, whatever the chunks are", async () => {
    const lengths = [1, 700, 5, 64, 300, 2, 428];
    const reader = new PartReader(
      (async function* () {
        let at = 0;
        for (const length of lengths) {
          yield bytes.subarray(at, at + length);
          at += length;
        }
      })(),
    );
    const parts: Buffer[] = [];
    for (const wanted of [600, 600, 600]) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of reader.take(wanted)) chunks.push(chunk);
      parts.push(Buffer.concat(chunks));
    }
    expect(parts.map(({ length }) => length)).toEqual([600, 600, 300]);
    expect(Buffer.concat(parts).equals(bytes.subarray(0, 1500))).toBe(true);
  });
});
