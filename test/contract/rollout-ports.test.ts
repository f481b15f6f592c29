import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { FileLease, FileRolloutStore } from "../../src/disk/file-rollout-store.ts";
import { MemoryLease, MemoryRolloutStore } from "../../src/rollout/memory-store.ts";
import { leaseContract } from "./lease.ts";
import { rolloutStoreContract } from "./rollout-store.ts";

const root = mkdtempSync(join(tmpdir(), "rollout-ports-"));
let folders = 0;

afterAll(() => rmSync(root, { recursive: true, force: true }));

function newFolder(): string {
  folders += 1;
  return join(root, String(folders));
}

/** The machine's clock, whose wall time a test can move: a file's lock waits in real time. */
function shiftedClock(): { clock: Clock; pass: (ms: number) => void } {
  let shift = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + shift };
  return {
    clock,
    pass: (ms) => {
      shift += ms;
    },
  };
}

leaseContract("in memory", () => {
  const clock = new ManualClock();
  const lease = new MemoryLease(clock);
  return { lease: () => lease, pass: (ms) => clock.advance(ms) };
});

leaseContract("in a file", () => {
  const { clock, pass } = shiftedClock();
  const folder = newFolder();
  return { lease: () => new FileLease({ folder, clock }), pass };
});

rolloutStoreContract("in memory", () => {
  const clock = new ManualClock();
  const lease = new MemoryLease(clock);
  const store = new MemoryRolloutStore(lease);
  return { store: () => store, lease, pass: (ms) => clock.advance(ms) };
});

rolloutStoreContract("in a file", () => {
  const { clock, pass } = shiftedClock();
  const folder = newFolder();
  return {
    store: () => new FileRolloutStore({ folder, clock }),
    lease: new FileLease({ folder, clock }),
    pass,
  };
});
