import { readdir, readFile } from "node:fs/promises";
import { afterAll, describe, expect, it } from "vitest";
import type { DemoStory } from "../../src/cli/commands/demo/story.ts";
import { changeover, spawnChangeover, until } from "../cli/command-line.ts";
import { isAlive } from "../support/processes.ts";
import { TestFolder } from "../support/test-folder.ts";

// What `npm test` leaves out, since it takes minutes; `.ci/run` sets the variable.
const here = process.env["CHANGEOVER_SYSTEM"] === "1";

describe.skipIf(!here)("changeover demo", () => {
  const folder = new TestFolder();
  afterAll(() => folder.remove());

  it("walks, breaks the candidate, sees it rolled back, harms nobody, and leaves a report", async () => {
    const output = folder.in("report.html");
    const words = ["demo", "--json", "--flags", "file", "--hold", "1", "--break-at", "10"];
    const environment = { TMPDIR: folder.path };
    const ran = await changeover([...words, "--output", output], { environment });
    const told = JSON.parse(ran.stdout) as DemoStory & {
      happened: boolean;
      problems: string[];
      seconds: number;
      report: string;
    };
    expect([told.problems, ran.code, ran.stderr]).toEqual([[], 0, ""]);
    expect(told).toMatchObject({ happened: true, operation: "files.info", report: output });
    expect(told.seconds).toBeLessThan(240);
    expect(told.stages.map(({ percentage, left }) => [percentage, left])).toEqual([
      [0, true],
      [1, true],
      [10, false],
    ]);
    expect(told.rollback).toMatchObject({ percentageAfter: 0, candidateCallsAfter: 0 });
    expect(told.rollback?.steps.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["latch", "flag"]),
    );
    expect(told.traffic?.harmed).toBe(0);
    expect(told.traffic?.fellBack).toBeGreaterThan(0);
    const report = await readFile(output, "utf8");
    expect(report).toContain("At 10 % the candidate breaks: 30 % of its calls fail from now on.");
    expect(report).toContain('class="candidate"');
    // In the journal, too, it says what was done on purpose.
    expect(report).toContain("Step 2 of the demo");
    expect(report).toContain("fault in candidate: 30 % of its calls fail");
  }, 300_000);

  it("ends on Ctrl-C within seconds, and leaves no process and no folder", async () => {
    const tmp = new TestFolder();
    const child = spawnChangeover(["demo", "--flags", "file"], {
      environment: { TMPDIR: tmp.path },
    });
    let said = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString("utf8");
    });
    const exit = new Promise<number | null>((resolve) => child.once("close", resolve));
    const runs = async (): Promise<number | null> => {
      const [name] = (await readdir(tmp.path)).filter((each) =>
        each.startsWith("changeover-demo-"),
      );
      const file = tmp.in(name ?? "none", "data", "run.json");
      const text = await readFile(file, "utf8").catch(() => "{}");
      return (JSON.parse(text) as { pid?: number }).pid ?? null;
    };
    await until(() => said.includes("tenants store a file each"));
    const pid = await runs();
    expect(pid !== null && isAlive(pid)).toBe(true);
    child.kill("SIGINT");
    expect(await exit).toBe(130);
    expect(pid !== null && isAlive(pid)).toBe(false);
    expect((await readdir(tmp.path)).filter((each) => each.startsWith("changeover-demo"))).toEqual(
      [],
    );
    await tmp.remove();
  }, 60_000);
});
