import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ChildLog } from "../../src/sandbox/child/child-log.ts";
import { TestFolder } from "../support/test-folder.ts";

it("a child's log stays below twice its limit and remembers the last lines", async () => {
  await using folder = new TestFolder();
  const file = join(folder.path, "logs", "child.log");
  const log = new ChildLog({ file, maxFileBytes: 1000, maxTailLines: 3 });
  for (let n = 0; n < 200; n++) {
    log.write(Buffer.from(`line ${n} of the child\n`));
    if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  log.write(Buffer.from("unfinished"));
  await log.close();
  expect(log.tail()).toBe(
    "line 197 of the child\nline 198 of the child\nline 199 of the child\nunfinished",
  );
  const sizes = await Promise.all([file, `${file}.1`].map(async (each) => (await stat(each)).size));
  expect(Math.max(...sizes)).toBeLessThan(1100);
});
