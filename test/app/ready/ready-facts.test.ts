import { writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { type ReadySources, readyFacts } from "../../../src/app/ready/ready-facts.ts";
import type { Snapshot, SnapshotOperation } from "../../../src/app/snapshot.ts";
import { DrillCertificates } from "../../../src/disk/drill-certificates.ts";
import type { InstanceStatus } from "../../../src/migration/fleet.ts";
import { eachTestFolder } from "../../support/test-folder.ts";

const name = "image.resize";
const nowMs = Date.parse("2026-11-21T12:00:00.000Z");
const counts = { candidateCalls: 7, legacyCalls: 1, fallbacks: 2, compared: 5, different: 1 };
const now = { name, counts } as SnapshotOperation;
const totals = (calls: number) => ({ calls, failed: 0, timedOut: 0 });

function instance(of: string, startedAt: string, live = true): InstanceStatus {
  const operation = {
    ...{ operation: name, legacy: totals(10), candidate: totals(100), latched: of === "b" },
    ...{ verdict: "healthy", percentage: 100 },
  };
  const flags = { kind: "static", state: "fresh", revision: "1" } as const;
  return {
    ...{ instance: of, version: "1", startedAt, flags, operations: [operation] },
    ...{ seenAt: startedAt, live },
  };
}

describe("the facts that a legacy path is judged by", () => {
  const folder = eachTestFolder();

  const facts = (
    given: Partial<ReadySources> = {},
    instances: readonly InstanceStatus[] = [],
  ): ReturnType<typeof readyFacts> =>
    readyFacts({
      config: { dataDir: folder.path, flagsDir: folder.path, prometheusUrl: null },
      snapshot: { startedAt: "2026-11-01T00:00:00.000Z", instances } as unknown as Snapshot,
      ...{ now, live: true, entries: [], entriesMax: 1000, mismatches: [], nowMs, days: 14 },
      ...given,
    });

  it("are what the running process counted since it started", async () => {
    expect((await facts()).counts).toEqual({
      source: "this process",
      sinceMs: Date.parse("2026-11-01T00:00:00.000Z"),
      ...counts,
    });
  });

  it("are no counts at all where nothing runs, or Prometheus does not answer", async () => {
    const stopped = await facts({ live: false });
    expect([stopped.counts, stopped.noCounts]).toEqual([
      null,
      expect.stringContaining("changeover start"),
    ]);
    const prometheusUrl = "http://127.0.0.1:9";
    const blind = await facts({
      config: { dataDir: folder.path, flagsDir: folder.path, prometheusUrl },
    });
    expect([blind.counts, blind.noCounts]).toEqual([
      null,
      expect.stringContaining("no answer that can be used"),
    ]);
  });

  it("are summed over live instances, whose fallbacks nobody knows", async () => {
    const instances = [
      instance("a", "2026-11-02T00:00:00.000Z"),
      instance("b", "2026-11-03T00:00:00.000Z"),
      instance("gone", "2026-11-04T00:00:00.000Z", false),
    ];
    const found = await facts({}, instances);
    expect(found.latchedInstances).toEqual(["b"]);
    expect(found.counts).toMatchObject({
      ...{ candidateCalls: 200, legacyCalls: 20, fallbacks: null, compared: 5 },
      sinceMs: Date.parse("2026-11-03T00:00:00.000Z"),
    });
  });

  it("hold the flag's date, the last drill, and what was not read of the journal", async () => {
    const flag = {
      ...{ kind: "operation", name, purpose: "p", owner: "o", removeBy: "2027-06-30" },
      ...{ enabled: true, percentage: 0, shadowPercentage: 0 },
      ...{ groupId: "image", stickiness: "routingKey" },
    };
    await writeFile(folder.in(`${name}.json`), JSON.stringify(flag));
    const at = "2026-10-01T00:00:00.000Z";
    const drills = new DrillCertificates(folder.path);
    await drills.keep({ operation: name, at, passed: true, results: [] });
    const found = await facts({ entriesMax: 0 });
    expect(found).toMatchObject({
      ...{ removeBy: "2027-06-30", drilledMs: Date.parse(at), truncated: true },
    });
    const none = await facts({
      config: { dataDir: folder.path, flagsDir: "/nowhere", prometheusUrl: null },
    });
    expect(none.removeBy).toBe(null);
  });
});
