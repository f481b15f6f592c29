import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { drain } from "../../src/migration/body.ts";
import type { Call, Path } from "../../src/migration/call.ts";
import { countsOf, held, key, read, settle, setUp } from "./shadowed-facade.ts";

describe("a shadow", () => {
  it("runs the other path after the caller has its answer, and compares legacy with the candidate", async () => {
    const { facade, results } = setUp();
    const order: string[] = [];
    const double = facade.migrate(
      read(
        (n) => ({ n: n * 2 }),
        (n, call) => {
          order.push(`candidate as ${call.source}`);
          return { n: n * 3 };
        },
      ),
    );
    order.push(`answer ${(await double(2, { key: "k", requestId: "r1" })).n}`);
    await settle();
    expect(order).toEqual(["answer 4", "candidate as shadow"]);
    expect(results).toMatchObject([
      {
        requestId: "r1",
        result: "different",
        blame: null,
        served: { path: "legacy" },
        shadow: { path: "candidate" },
        comparison: { differences: [{ path: "n", legacy: "4", candidate: "6" }] },
      },
    ]);
  });

  it("runs legacy when the candidate answered, and keeps the order of the comparison", async () => {
    const { facade, results } = setUp({ candidate: true });
    const call = facade.migrate(
      read(
        () => "legacy",
        () => "candidate",
      ),
    );
    await call(1, key);
    await settle();
    expect(results).toMatchObject([
      {
        served: { path: "candidate" },
        comparison: { differences: [{ legacy: '"legacy"', candidate: '"candidate"' }] },
      },
    ]);
  });

  it("does nothing when the decision says so", async () => {
    const { facade, shadow, results } = setUp({ shadow: false });
    await facade.migrate(
      read(
        () => 1,
        () => 1,
      ),
    )(1, key);
    await settle();
    expect([results.length, shadow.skipped.size]).toEqual([0, 0]);
  });

  it("reports a candidate that fails where legacy answered as blamed", async () => {
    const { facade, results } = setUp();
    const call = facade.migrate(
      read(
        () => 1,
        () => {
          throw new Error("no");
        },
      ),
    );
    expect(await call(1, key)).toBe(1);
    await settle();
    expect(results).toMatchObject([{ result: "different", blame: "blamed" }]);
  });

  it("announces the run as an observation of the source shadow, before its comparison", async () => {
    const { facade, shadow, results } = setUp();
    const seen: unknown[] = [];
    shadow.observations.subscribe(({ call, first, fallback }) =>
      seen.push([call.source, call.path, call.key, first.kind, fallback, results.length]),
    );
    const fail = (): never => {
      throw new Error("no");
    };
    await facade.migrate(read(() => 1, fail))(1, key);
    await settle();
    expect(seen).toEqual([["shadow", "candidate", "k", "failed", null, 0]]);
  });

  it("reports a failure of both paths as shared, and the caller gets its own error", async () => {
    const { facade, results } = setUp();
    const fail = (): never => {
      throw new RangeError("no");
    };
    await expect(facade.migrate(read(fail, fail))(1, key)).rejects.toThrow("no");
    await settle();
    expect(results).toMatchObject([{ result: "both_failed", blame: "shared" }]);
  });

  it("never reaches the caller with an error of its own", async () => {
    const { facade, shadow, results } = setUp({
      pressure: () => {
        throw new Error("pressure");
      },
    });
    shadow.compared.subscribe(() => {
      throw new Error("listener");
    });
    const call = facade.migrate(
      read(
        () => 1,
        () => 1,
      ),
    );
    expect(await call(1, key)).toBe(1);
    await settle();
    expect(results).toEqual([]);
    expect(countsOf(shadow)).toEqual({ "internal-error": 1 });
    expect(facade.internalErrors.get("shadow")).toBe(1);
  });

  it("counts the run and its declared memory as load of its path while it goes on", async () => {
    const { facade, shadow } = setUp();
    const { path, release } = held<number>();
    const cost = () => ({ legacy: 10, candidate: 7 });
    await facade.migrate(read(() => 1, path, { cost }))(1, key);
    await settle();
    const { load } = facade.operation("test.read");
    expect([load.candidate, shadow.inFlight, shadow.bytesInFlight]).toEqual([
      { calls: 1, bytes: 7, abandoned: 0 },
      1,
      7,
    ]);
    release(1);
    await settle();
    expect([load.candidate, shadow.inFlight, shadow.bytesInFlight]).toEqual([
      { calls: 0, bytes: 0, abandoned: 0 },
      0,
      0,
    ]);
  });
});

describe("a shadow of a stream", () => {
  const body = (text: string) =>
    Readable.from([Buffer.from(text.slice(0, 2)), Buffer.from(text.slice(2))]);
  const readAll = async (stream: Readable) => Buffer.concat(await stream.toArray()).toString();

  it.each([
    ["legacy", "hello", "hello", "same"],
    ["legacy", "hello", "hallo", "different"],
    ["candidate", "hello", "hello", "same"],
  ])("served by %s compares %j with %j by digest: %s", async (served, a, b, expected) => {
    const { facade, results } = setUp({ candidate: served === "candidate" });
    const call = facade.migrate(
      read(
        () => body(a),
        () => body(b),
        { result: "stream" },
      ),
    );
    expect(await readAll(await call(1, key))).toBe(a);
    await settle();
    expect(results).toMatchObject([{ result: expected, shadow: { bytes: 5 } }]);
  });

  it("takes a web stream, and compares the fields beside the body", async () => {
    const { facade, results } = setUp();
    const web = (type: string) => ({ type, body: new Blob(["abc"]).stream() });
    const call = facade.migrate(
      read(
        () => web("a"),
        () => web("b"),
        { result: "stream" },
      ),
    );
    await drain((await call(1, key)).body);
    await settle();
    expect(results).toMatchObject([{ comparison: { differences: [{ path: "type" }] } }]);
  });

  it("sees a body that breaks off as a failure of its path", async () => {
    const { facade, results } = setUp();
    const broken = () =>
      Readable.from(
        (async function* () {
          yield Buffer.from("he");
          throw new Error("broke");
        })(),
      );
    const call = facade.migrate(read(() => body("hello"), broken, { result: "stream" }));
    await readAll(await call(1, key));
    await settle();
    expect(results).toMatchObject([{ result: "different", blame: "blamed" }]);
    expect(facade.operation("test.read").load.candidate.calls).toBe(0);
  });

  it("is destroyed when it passes the shadow's deadline", async () => {
    const { facade, clock, results } = setUp();
    const endless = new Readable({ read: () => undefined });
    endless.push("x");
    const call = facade.migrate(
      read(
        () => body("x"),
        () => endless,
        { result: "stream" },
      ),
    );
    await readAll(await call(1, key));
    await settle();
    clock.advance(30_000);
    await settle();
    expect(results).toMatchObject([{ result: "abandoned", shadow: null, comparison: null }]);
    expect(endless.destroyed).toBe(true);
  });

  it("is not run when the caller gave the body up", async () => {
    const { facade, shadow } = setUp();
    const endless = new Readable({ read: () => undefined });
    endless.push("x");
    const call = facade.migrate(
      read(
        () => endless,
        () => body("x"),
        { result: "stream" },
      ),
    );
    (await call(1, key)).destroy();
    await settle();
    expect(countsOf(shadow)).toEqual({ aborted: 1 });
  });
});

describe("what is never shadowed", () => {
  it("skips a call that legacy answered after the candidate had failed", async () => {
    const { facade, shadow } = setUp({ candidate: true });
    const fail = (): never => {
      throw new Error("no");
    };
    expect(await facade.migrate(read(() => 1, fail))(1, key)).toBe(1);
    await settle();
    expect(countsOf(shadow)).toEqual({ fallback: 1 });
  });

  it("skips an input that cannot be read twice", async () => {
    const { facade, shadow } = setUp();
    await facade.migrate(
      read(
        () => 1,
        () => 1,
        { replayable: () => false },
      ),
    )(1, key);
    await settle();
    expect(countsOf(shadow)).toEqual({ "not-replayable": 1 });
  });

  it("does not run a write", async () => {
    const { facade, results } = setUp();
    let runs = 0;
    const path = () => {
      runs += 1;
    };
    await facade.migrate({ ...read(path, path), kind: "write" })(1, key);
    await settle();
    expect([runs, results.length]).toEqual([1, 0]);
  });

  it("drops what waits when the latch trips", async () => {
    const { facade, shadow } = setUp({ budget: { concurrentMax: 1 } });
    const { path, release, calls } = held<number>();
    const call = facade.migrate(read(() => 1, path));
    await call(1, key);
    await call(2, key);
    await settle();
    const by = { type: "person", name: "test" } as const;
    facade.operation("test.read").latch.trip({ by, reason: "test", at: "2026-01-01T00:00:00Z" });
    release(1);
    await settle();
    expect(calls).toHaveLength(1);
    expect(countsOf(shadow)).toEqual({ latched: 1 });
  });
});

describe("both directions", () => {
  it.each(["legacy", "candidate"] as const)(
    "never shadow the path that served: %s",
    async (served) => {
      const { facade } = setUp({ candidate: served === "candidate" });
      const ran: [Path, string][] = [];
      const note = (_: number, call: Call) => {
        ran.push([call.path, call.source]);
      };
      await facade.migrate(read(note, note))(1, key);
      await settle();
      const other = served === "legacy" ? "candidate" : "legacy";
      expect(ran).toEqual([
        [served, "served"],
        [other, "shadow"],
      ]);
    },
  );
});
