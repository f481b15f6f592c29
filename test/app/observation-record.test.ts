import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, it } from "vitest";
import { recordObservations } from "../../src/app/upkeep/observation-record.ts";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { createChangeover } from "../../src/changeover.ts";
import { staticFlags } from "../../src/flags/static-flags.ts";
import { runSimulation } from "../../src/rehearsal/simulator/run-simulation.ts";

describe("a record of observations", () => {
  let folder: string;
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("can be played to the guard's policy, and names neither keys nor contents", async () => {
    folder = await mkdtemp(join(tmpdir(), "changeover-record-"));
    const file = join(folder, "observations.ndjson");
    const changeover = await createChangeover({ flags: staticFlags({ "image.resize": 50 }) });
    const close = recordObservations({
      ...{ file, changeover, clock: systemClock },
      logger: silentLogger,
    });
    const resize = changeover.migrate<string, string>({
      name: "image.resize",
      kind: "read",
      legacy: (input) => Promise.resolve(`legacy ${input}`),
      candidate: (input) => Promise.resolve(`candidate ${input}`),
    });
    for (let call = 0; call < 200; call += 1) {
      await resize("a secret content", { key: `customer-${call}` });
    }
    await close();
    await changeover.close();
    const text = await readFile(file, "utf8");
    expect(text.trim().split("\n")).toHaveLength(200);
    expect(text).not.toMatch(/secret|customer-/);
    const printed: string[] = [];
    await runSimulation(
      { eventsFile: file, operation: "image.resize", rivals: false },
      {
        print: (line) => printed.push(line),
        readText: (path) => readFile(path, "utf8"),
        readLines: (path) => createInterface({ input: createReadStream(path) }),
        writeText: () => Promise.resolve(),
      },
    );
    expect(printed.join("\n")).toContain("changeover");
  });
});
