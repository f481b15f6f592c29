import { systemClock } from "../../../src/base/clock.ts";
import { runInChild } from "../../../src/harness/child.ts";

// Started by a test, which kills it: its child must not stay behind.
await runInChild({
  program: new URL("./job.ts", import.meta.url),
  input: { act: "hang", value: 0 },
  clock: systemClock,
  onProgress: (text) => process.stdout.write(`${text}\n`),
});
