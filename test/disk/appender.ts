import { systemClock } from "../../src/base/clock.ts";
import { FileJournal } from "../../src/disk/file-journal.ts";
import { FileLatchStore } from "../../src/disk/file-latch-store.ts";
import { anEntryOf } from "./entries.ts";

/* A second process: `appender.ts <folder> <name> <count>` appends entries and trips latches. */
const [folder = "", name = "", count = "0"] = process.argv.slice(2);
const journal = new FileJournal({ folder, clock: systemClock, rotateBytes: 20_000 });
const store = new FileLatchStore({
  folder,
  clock: systemClock,
  report: (part, error) => process.stderr.write(`${part} ${String(error)}\n`),
});
// Timers of the clock do not keep a process alive; waiting for a lock must not end it.
const alive = setInterval(() => undefined, 1000);
for (let n = 0; n < Number(count); n += 1) {
  await journal.append(anEntryOf(`${name} ${n}`));
  await store.save({
    operation: `test.${name}-${n}`,
    tripped: true,
    epoch: 1,
    at: "2026-01-01T00:00:00.000Z",
    by: { type: "system", name },
    reason: "a test",
    evidence: {},
  });
}
clearInterval(alive);
