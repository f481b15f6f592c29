import { describe, expect, it } from "vitest";
import { ContentLock } from "../../src/files/content-lock.ts";

const { signal } = new AbortController();

describe("the content lock", () => {
  it("runs one at a time for one content, in the order of asking", async () => {
    const lock = new ContentLock();
    const gates = [1, 2, 3].map(() => Promise.withResolvers<void>());
    const events: string[] = [];
    const runs = gates.map(({ promise }, index) =>
      lock.run("a", signal, async () => {
        events.push(`in ${index}`);
        await promise;
        events.push(`out ${index}`);
      }),
    );
    for (const gate of gates.toReversed()) gate.resolve();
    await Promise.all(runs);
    expect(events).toEqual(["in 0", "out 0", "in 1", "out 1", "in 2", "out 2"]);
    expect(lock.held).toBe(0);
  });

  it("lets different contents run side by side", async () => {
    const lock = new ContentLock();
    const gate = Promise.withResolvers<void>();
    const held = lock.run("a", signal, () => gate.promise);
    expect(await lock.run("b", signal, async () => "done")).toBe("done");
    gate.resolve();
    await held;
  });

  it("is given on after work that throws", async () => {
    const lock = new ContentLock();
    const failed = lock.run("a", signal, () => Promise.reject(new Error("broken")));
    const next = lock.run("a", signal, async () => "next");
    await expect(failed).rejects.toThrow("broken");
    expect(await next).toBe("next");
  });

  it("forgets who gave up waiting", async () => {
    const lock = new ContentLock();
    const gate = Promise.withResolvers<void>();
    const held = lock.run("a", signal, () => gate.promise);
    const caller = new AbortController();
    const waiting = lock.run("a", caller.signal, async () => "never");
    const last = lock.run("a", signal, async () => "last");
    caller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    gate.resolve();
    await held;
    expect(await last).toBe("last");
    expect(lock.held).toBe(0);
  });

  it("refuses more than may wait", async () => {
    const lock = new ContentLock({ waitersMax: 1 });
    const gate = Promise.withResolvers<void>();
    const held = lock.run("a", signal, () => gate.promise);
    const waiting = lock.run("a", signal, async () => undefined);
    await expect(lock.run("a", signal, async () => undefined)).rejects.toMatchObject({
      code: "FILES_BUSY",
      retryable: true,
    });
    gate.resolve();
    await Promise.all([held, waiting]);
  });
});
