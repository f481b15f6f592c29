import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect, it, onTestFinished } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { Throttle } from "../../src/cli/doors/throttled.ts";
import { fileSource } from "../../src/files/source.ts";
import { settle } from "../support/facade.ts";

const { signal } = new AbortController();
const bytes = randomBytes(500_000);

/** Reads to the end on a clock that is moved by hand; answers how much there was at each second. */
async function read(body: AsyncIterable<Buffer>, clock: ManualClock): Promise<number[]> {
  const chunks: Buffer[] = [];
  let ended = false;
  const all = (async () => {
    for await (const chunk of body) chunks.push(chunk);
    ended = true;
  })();
  const seconds: number[] = [];
  for (let rounds = 0; !ended && rounds < 1000; rounds += 1) {
    for (let turn = 0; turn < 20; turn += 1) await settle();
    if (rounds % 100 === 0) seconds.push(chunks.reduce((sum, { length }) => sum + length, 0));
    clock.advance(10);
  }
  await all;
  expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
  return seconds;
}

it("passes a second's worth at once and then what each second brings, byte for byte", async () => {
  const clock = new ManualClock();
  const throttle = new Throttle(100_000, clock);
  const seconds = await read(throttle.pass(Readable.from([bytes]), signal), clock);
  expect(seconds.length).toBeGreaterThanOrEqual(4);
  for (const [second, there] of seconds.entries()) {
    expect(there).toBeLessThanOrEqual((second + 1) * 100_000);
    expect(there).toBeGreaterThan(second * 100_000);
  }
  expect(clock.pending).toBe(0);
});

it("holds all transfers of a command together", async () => {
  const clock = new ManualClock();
  const throttle = new Throttle(100_000, clock);
  const both = [1, 2].map(() => read(throttle.pass(Readable.from([bytes]), signal), clock));
  const [one = []] = await Promise.all(both);
  // Alone it would have had 300,000 by then; the clock is moved by both.
  expect(one[1] ?? 0).toBeLessThan(300_000);
});

it("changes nothing without a limit", async () => {
  const throttle = new Throttle(null, new ManualClock());
  const [first] = await Array.fromAsync(throttle.pass(Readable.from([bytes]), signal));
  expect(first).toBe(bytes);
});

it("makes a source whose hash is known and whose every reading is slow", async () => {
  const folder = await mkdtemp(join(tmpdir(), "changeover-throttled-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "a.bin"), bytes);
  const whole = await fileSource(join(folder, "a.bin"));
  const clock = new ManualClock();
  const source = await new Throttle(100_000, clock).source(whole, signal);
  expect(source).toMatchObject({
    sizeBytes: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    path: null,
  });
  const stream = source.open();
  const arrived: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => arrived.push(chunk));
  await expect.poll(() => clock.pending).toBe(1);
  expect(Buffer.concat(arrived).length).toBeLessThanOrEqual(100_000);
  stream.destroy();
  await writeFile(join(folder, "a.bin"), "other");
  await expect(source.verifyUnchanged()).rejects.toMatchObject({ code: "FILES_SOURCE_CHANGED" });
});
