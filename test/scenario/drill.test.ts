import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { changeover, type Ran, type Started, startChangeover } from "../cli/command-line.ts";
import { root } from "../rules/sources.ts";
import { TestFolder } from "../support/test-folder.ts";

interface Shown {
  readonly operations: readonly {
    readonly name: string;
    readonly latch: { readonly tripped: boolean } | null;
    readonly flag: { readonly percentage: number; readonly enabled: boolean } | null;
  }[];
}

describe("the failure that the README tells its reader to make", () => {
  const folder = new TestFolder();
  let started: Started;
  const run = (...words: string[]): Promise<Ran> =>
    changeover([...words, "--json", "--data-dir", folder.in("data")]);
  const listing = async (): Promise<Shown["operations"][number] | undefined> => {
    const { operations } = JSON.parse((await run("status")).stdout) as Shown;
    return operations.find(({ name }) => name === "files.list");
  };

  beforeAll(async () => {
    started = await startChangeover(folder.in("data"));
  });
  afterAll(async () => {
    started.child.kill("SIGTERM");
    await started.end;
    await folder.remove();
  });

  it("is rolled back within the calls it names, harms no caller, and is undone as it says", async () => {
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const calls = Number(/for i in \$\(seq (\d+)\); do curl/.exec(readme)?.[1]);
    expect(calls).toBeGreaterThan(100);
    await run("flags", "set", "list", "50", "--shadow", "20");
    await run("sandbox", "fault", "candidate", "--error-rate", "0.5");
    const answers: number[] = [];
    for (let call = 0; call < calls; call += 1) {
      const response = await fetch(`${started.gateway}/v1/files`);
      await response.arrayBuffer();
      answers.push(response.status);
    }
    expect(new Set(answers)).toEqual(new Set([200]));
    expect(await listing()).toMatchObject({
      latch: { tripped: true },
      flag: { enabled: false, percentage: 0 },
    });
    const journal = JSON.parse((await run("journal", "--limit", "5")).stdout) as {
      kind: string;
      actor: { type: string };
    }[];
    expect(journal.at(-1)).toMatchObject({ kind: "rollback", actor: { type: "rule" } });
    expect((await run("flags", "set", "list", "10")).code).toBe(3);
    await run("sandbox", "fault", "candidate", "--off");
    await run("rearm", "list", "--reason", "it was a drill");
    expect(await listing()).toMatchObject({ latch: { tripped: false }, flag: { percentage: 0 } });
    expect((await run("flags", "set", "list", "10")).code).toBe(0);
    expect(await listing()).toMatchObject({ flag: { enabled: true, percentage: 10 } });
  });
});
