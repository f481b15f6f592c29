import type { Snapshot, SnapshotOperation } from "../../src/app/snapshot.ts";
import type { RolloutStatus } from "../../src/rollout/status.ts";

/** What a test makes of the product's own snapshot. */
type Change = (snapshot: Snapshot) => Snapshot;

const stage = (percentage: number, approval = false) => ({
  percentage,
  shadowPercentage: 10,
  holdSeconds: 900,
  samples: 500,
  approval,
});

/** As a controller gives it: the guard's own sentence and the reason stand at a gate, too. */
const midway = ({ at, verdict }: Pick<Snapshot, "at"> & SnapshotOperation): RolloutStatus => ({
  operation: "files.upload",
  state: "waiting-approval",
  plan: "strict",
  stages: [stage(0), stage(1), stage(10), stage(50, true), stage(95), stage(100)],
  stage: 3,
  expectedPercentage: 50,
  actualPercentage: 50,
  since: at,
  stageSince: new Date(Date.parse(at) - 960_000).toISOString(),
  holdLeftMs: 0,
  samples: 1240,
  samplesNeeded: 500,
  gates: [
    { name: "latch", state: "passed", sentence: "The latch is armed." },
    { name: "flag", state: "passed", sentence: "The flag says 50 %, as it should." },
    // Judged a moment before, by fewer calls.
    { name: "verdict", state: "passed", sentence: verdict.sentence.replace(/\d+/, "9") },
    { name: "hold-time", state: "passed", sentence: "Held for 900 s." },
    { name: "samples", state: "passed", sentence: "1240 of 500 candidate calls." },
    { name: "earlier-operations", state: "passed", sentence: "files.info is at 10 %." },
    { name: "approval", state: "waiting", sentence: approval },
  ],
  leader: { holder: "host-1", epoch: 3, self: true },
  evaluatedAt: at,
  why: approval,
});
const approval = "A person has to approve.";
/** What stops it in {@link withHeld}. */
export const behind: string = "files.info is at 10 %, and has to be ahead of this one.";

const changed =
  (change: (operation: Pick<Snapshot, "at"> & SnapshotOperation) => RolloutStatus): Change =>
  (snapshot) => ({
    ...snapshot,
    operations: snapshot.operations.map((operation) => ({
      ...operation,
      rollout: operation.name === "files.upload" ? change({ ...operation, at: snapshot.at }) : null,
    })),
  });

/** As the snapshot is while a controller walks `files.upload`. */
export const withRollout: Change = changed(midway);

/** The same, stopped by a gate. */
export const withHeld: Change = changed((operation) => {
  const { gates, ...status } = midway(operation);
  const [other = gates[0], last = gates[0]] = gates.slice(-2);
  if (other === undefined || last === undefined) throw new Error("There are no gates.");
  const holding = { ...other, state: "holding" as const, sentence: behind };
  return { ...status, state: "held", why: behind, gates: [...gates.slice(0, -2), holding, last] };
});

/**
 * As the snapshot is in a fleet, one instance for each of the flag revisions.
 * @param revisions asked at every snapshot
 */
export const withInstances =
  (revisions: () => readonly string[]): Change =>
  (snapshot) => ({
    ...snapshot,
    instances: revisions().map((revision, index) => ({
      instance: `host-${index + 1}`,
      version: "0.1.0",
      startedAt: snapshot.startedAt,
      flags: { kind: "unleash", revision, state: "fresh" as const },
      operations: [],
      seenAt: snapshot.at,
      live: true,
    })),
  });
