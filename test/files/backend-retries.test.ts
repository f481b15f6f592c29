import { describe, expect, it } from "vitest";
import { CodedError } from "../../src/base/errors.ts";
import { type LogFields, silentLogger } from "../../src/base/logger.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import type { Catalog } from "../../src/files/catalog/catalog.ts";
import { knownFilesIn } from "../../src/files/providers/steady/known-files.ts";
import { BackendRetries } from "../../src/files/retry/backend-retries.ts";
import { retryingCatalog } from "../../src/files/retry/retrying-catalog.ts";
import { retryingStorage } from "../../src/files/retry/retrying-storage.ts";
import { withinPrediction } from "../../src/files/retry/upload-limit.ts";
import type { ObjectStorage } from "../../src/files/storage/object-storage.ts";
import { settle } from "../support/facade.ts";

const { signal } = new AbortController();

const passing = (effect: "absent" | "possible", retryAfterSeconds?: number): CodedError =>
  new CodedError("FILES_BACKEND_UNAVAILABLE", "It passes.", {
    status: 503,
    retryable: true,
    details: { effect },
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });

/** Fails so often with an error, then answers; counts how often it was asked. */
function failing<T>(times: number, error: unknown, answer: T) {
  const asked = { count: 0 };
  const work = (): Promise<T> => {
    asked.count += 1;
    return asked.count <= times ? Promise.reject(error) : Promise.resolve(answer);
  };
  return { asked, work };
}

async function played<T>(clock: ManualClock, work: Promise<T>): Promise<PromiseSettledResult<T>> {
  let result: PromiseSettledResult<T> | undefined;
  void Promise.allSettled([work]).then(([each]) => {
    result = each;
  });
  for (let second = 0; second < 30 && result === undefined; second += 1) {
    await settle();
    clock.advance(500);
  }
  await settle();
  if (result === undefined) throw new Error("It has not ended after 15 s.");
  return result;
}

describe("a request to the backend", () => {
  const world = (budget = {}) => {
    const clock = new ManualClock();
    const notes: LogFields[] = [];
    const logger = { ...silentLogger, info: (fields: LogFields): void => void notes.push(fields) };
    return { clock, notes, retries: new BackendRetries({ clock, logger, budget }) };
  };

  it("is repeated when its failure passes, and each retry is logged", async () => {
    const { clock, notes, retries } = world();
    const { asked, work } = failing(2, passing("possible"), "rows");
    const result = await played(clock, retries.idempotent(signal, work));
    expect(result).toEqual({ status: "fulfilled", value: "rows" });
    expect([asked.count, retries.made]).toEqual([3, 2]);
    expect(notes).toMatchObject([
      { attempt: 1, code: "FILES_BACKEND_UNAVAILABLE" },
      { attempt: 2, code: "FILES_BACKEND_UNAVAILABLE" },
    ]);
  });

  it("waits for as long as the backend asks, and gives up when that is too long", async () => {
    const { clock, retries } = world();
    const short = failing(1, passing("absent", 2), "rows");
    const running = retries.idempotent(signal, short.work);
    await settle();
    clock.advance(1900);
    await settle();
    expect(short.asked.count).toBe(1);
    clock.advance(300);
    expect(await running).toBe("rows");
    const long = failing(1, passing("absent", 60), "rows");
    await expect(retries.idempotent(signal, long.work)).rejects.toThrow("It passes.");
  });

  it("is not repeated when it cannot succeed, and hardly at all while nothing succeeds", async () => {
    const { clock, retries } = world({ capacity: 3, perSecond: 0.0001 });
    const final = failing(1, new CodedError("FILES_BACKEND_REJECTED", "Never."), "rows");
    await expect(retries.idempotent(signal, final.work)).rejects.toThrow("Never.");
    expect(final.asked.count).toBe(1);
    const down = failing(1000, passing("possible"), "rows");
    for (let call = 0; call < 20; call += 1) {
      await played(clock, retries.idempotent(signal, down.work));
    }
    expect(down.asked.count).toBe(23);
  });

  it("that adds or removes a row is repeated only when nothing of it was sent", async () => {
    const { clock, retries } = world();
    for (const [effect, attempts] of [
      ["absent", 2],
      ["possible", 1],
    ] as const) {
      const calls: string[] = [];
      const failOnce = (name: string) => (): Promise<never> => {
        calls.push(name);
        const isFirst = calls.filter((each) => each === name).length === 1;
        return isFirst ? Promise.reject(passing(effect)) : Promise.reject(new Error("second"));
      };
      const names = ["addFile", "removeFile", "removeContent"] as const;
      const failingRows = Object.fromEntries(names.map((name) => [name, failOnce(name)]));
      const catalog = retryingCatalog(failingRows as unknown as Catalog, retries);
      for (const name of names) {
        const call = catalog[name] as (row: unknown, each: AbortSignal) => Promise<unknown>;
        await played(clock, call({}, signal));
        expect(calls.filter((each) => each === name)).toHaveLength(attempts);
      }
    }
  });

  it("that stores an object is repeated, even when the first may have arrived", async () => {
    const { clock, retries } = world();
    const { asked, work } = failing(1, passing("possible"), undefined);
    const storage = retryingStorage({ put: work } as unknown as ObjectStorage, retries);
    const object = { key: "k", sizeBytes: 0, mimeType: "text/plain", open: () => Buffer.alloc(0) };
    expect(await played(clock, storage.put(object, signal))).toMatchObject({ status: "fulfilled" });
    expect(asked.count).toBe(2);
  });
});

describe("provider files that our rows know", () => {
  it("are told apart from those that nobody has claimed", async () => {
    const asked: unknown[] = [];
    const known = knownFilesIn(
      {
        hasProviderFile: (file) => {
          asked.push(file);
          return Promise.resolve(Number(file.providerFileId) % 2 === 0);
        },
      },
      "kimi",
    );
    const ids = Array.from({ length: 20 }, (_, index) => String(index));
    expect([...(await known(ids, signal))]).toEqual(ids.filter((id) => Number(id) % 2 === 0));
    expect(asked).toHaveLength(20);
    expect(asked[0]).toEqual({ provider: "kimi", providerFileId: "0" });
  });
});

describe("an upload that takes longer than predicted", () => {
  const upload = (clock: ManualClock) => {
    const moved: { now: () => void } = { now: () => undefined };
    const stored = Promise.withResolvers<string>();
    const limit = { provider: "kimi", clock, totalMs: 60_000, idleMs: 30_000 } as const;
    const running = withinPrediction(limit, signal, (each, tell) => {
      moved.now = () => tell(1);
      each.addEventListener("abort", () => stored.reject(each.reason));
      return stored.promise;
    });
    running.catch(() => undefined);
    return { moved, stored, running };
  };

  it("goes on for as long as bytes move", async () => {
    const clock = new ManualClock();
    const { moved, stored, running } = upload(clock);
    for (let minute = 0; minute < 20; minute += 1) {
      moved.now();
      clock.advance(29_000);
    }
    stored.resolve("stored");
    expect(await running).toBe("stored");
  });

  it("ends once it stands still, like one whose answer was lost", async () => {
    const clock = new ManualClock();
    const { moved, running } = upload(clock);
    clock.advance(50_000);
    moved.now();
    clock.advance(29_000);
    await settle();
    clock.advance(1000);
    await expect(running).rejects.toMatchObject({
      code: "FILES_PROVIDER_UNAVAILABLE",
      retryable: true,
      details: { effect: "possible" },
    });
  });

  it("ends at the predicted time when not even a first byte moved", async () => {
    const clock = new ManualClock();
    const { running } = upload(clock);
    clock.advance(60_000);
    await expect(running).rejects.toThrow(/longer than the 60000 ms/);
  });
});
