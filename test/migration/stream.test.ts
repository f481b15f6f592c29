import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { ReadableStream } from "node:stream/web";
import { describe, expect, it } from "vitest";
import { makeFacade, settle } from "../support/facade.ts";

const name = "file.download";
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

async function* chunks(...parts: (string | Error)[]): AsyncGenerator<Buffer> {
  for (const part of parts) {
    if (part instanceof Error) throw part;
    yield Buffer.from(part);
  }
}

const text = async (body: Readable): Promise<string> =>
  Buffer.concat(await body.toArray()).toString();

describe("an operation that answers with a stream", () => {
  it("announces its outcome when the body ends, with bytes and, when shadowed, the digest", async () => {
    const { facade, seen } = makeFacade({ [name]: { percentage: 100, shadow: 100 } });
    const read = facade.migrate({
      name,
      kind: "read",
      result: "stream",
      legacy: () => Readable.from(chunks("old")),
      candidate: () => Readable.from(chunks("he", "llo")),
    });
    const body = await read(1, { key: "a" });
    expect(seen).toHaveLength(0);
    expect(facade.operation(name).load.candidate.calls).toBe(1);
    expect(await text(body)).toBe("hello");
    await settle();
    expect(seen[0]?.first).toMatchObject({ kind: "succeeded", bytes: 5, digest: sha256("hello") });
    expect(facade.operation(name).load.candidate.calls).toBe(0);
  });

  it("keeps the other fields of an output that carries a body, and its class", async () => {
    class Answer {
      readonly size = 5;
      body: Readable = Readable.from(chunks("hello"));
      get double(): number {
        return this.size * 2;
      }
    }
    const { facade } = makeFacade({ [name]: 0 });
    const read = facade.migrate({
      name,
      kind: "read",
      result: "stream",
      legacy: () => new Answer(),
      candidate: () => new Answer(),
    });
    const answer = await read(1, { key: "a" });
    expect(answer).toBeInstanceOf(Answer);
    expect(answer.double).toBe(10);
    expect(await text(answer.body)).toBe("hello");
  });

  it("falls back when the candidate's body breaks before its first byte", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 });
    const read = facade.migrate({
      name,
      kind: "read",
      result: "stream",
      legacy: () => Readable.from(chunks("old")),
      candidate: () => Readable.from(chunks(new Error("broke"))),
    });
    expect(await text(await read(1, { key: "a" }))).toBe("old");
    await settle();
    expect(seen[0]).toMatchObject({ first: { kind: "failed" }, fallback: { kind: "succeeded" } });
  });

  it("hands on the source's own error after the first byte, and does not fall back", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 });
    const broke = new Error("broke");
    let legacyRuns = 0;
    const read = facade.migrate({
      name,
      kind: "read",
      result: "stream",
      legacy: () => {
        legacyRuns += 1;
        return Readable.from(chunks("old"));
      },
      candidate: () => Readable.from(chunks("he", broke)),
    });
    const body = await read(1, { key: "a" });
    await expect(text(body)).rejects.toBe(broke);
    await settle();
    expect(legacyRuns).toBe(0);
    expect(seen[0]).toMatchObject({ first: { kind: "failed", bytes: 2, error: broke } });
  });

  it("counts a reader that cancels as aborted and closes the source", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 });
    const source = Readable.from(chunks("he", "llo"));
    const read = facade.migrate({
      name,
      kind: "read",
      result: "stream",
      legacy: () => source,
      candidate: () => source,
    });
    (await read(1, { key: "a" })).destroy();
    await settle();
    await settle();
    expect(seen[0]?.first.kind).toBe("aborted");
    expect(source.destroyed).toBe(true);
  });

  it("keeps the memory claimed until the body has ended", async () => {
    const { facade } = makeFacade({ [name]: 100 });
    const read = facade.migrate({
      name,
      kind: "read",
      result: "stream",
      legacy: () => Readable.from(chunks("old")),
      candidate: () => Readable.from(chunks("new")),
      cost: () => ({ legacy: 10, candidate: 10 }),
    });
    const body = await read(1, { key: "a" });
    expect(facade.operation(name).load.candidate.bytes).toBe(10);
    await text(body);
    await settle();
    expect(facade.operation(name).load.candidate.bytes).toBe(0);
  });

  it("gives back legacy's memory after a fallback, too", async () => {
    const { facade } = makeFacade({ [name]: 100 });
    const read = facade.migrate({
      name,
      kind: "read",
      result: "stream",
      legacy: () => Readable.from(chunks("old")),
      candidate: () => Promise.reject(new Error("broke")),
      cost: () => ({ legacy: 10, candidate: 10 }),
    });
    const body = await read(1, { key: "a" });
    expect(facade.operation(name).load.legacy.bytes).toBe(10);
    await text(body);
    await settle();
    expect(facade.operation(name).load.legacy.bytes).toBe(0);
  });

  it("passes web streams through, and their cancellation", async () => {
    const { facade, seen } = makeFacade({ [name]: 100 });
    let cancelled: unknown;
    const make = (): ReadableStream<Uint8Array> =>
      new ReadableStream({
        pull: (controller) => controller.enqueue(Buffer.from("x")),
        cancel: (reason) => {
          cancelled = reason;
        },
      });
    const read = facade.migrate({
      name,
      kind: "read",
      result: "stream",
      legacy: make,
      candidate: make,
    });
    const reader = (await read(1, { key: "a" })).getReader();
    expect((await reader.read()).value).toEqual(Buffer.from("x"));
    await reader.cancel("enough");
    expect(cancelled).toBe("enough");
    expect(seen[0]?.first).toMatchObject({ kind: "aborted", bytes: 1 });
  });
});
