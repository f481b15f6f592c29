import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";

/* Invariant 15: what blocks the event loop delays a rollback to the first turn after it, and no further. */

const program = fileURLToPath(new URL("./fixtures/blocked-loop.ts", import.meta.url));
const blockMs = 3000;
const hanging = 60;

type Line = Readonly<Record<string, unknown>>;
const clean: (() => void)[] = [];
afterEach(() => {
  for (const each of clean.splice(0)) each();
});

/** The process, its lines as they come, and a look at its metrics as a scraper takes it. */
async function start(guard: object) {
  const settings = JSON.stringify({ blockMs, hanging, guard });
  const child = spawn(process.execPath, [program, settings], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  clean.push(() => child.kill("SIGKILL"));
  const lines: Line[] = [];
  const said = createInterface({ input: child.stdout });
  said.on("line", (line) => lines.push(JSON.parse(line) as Line));
  const until = async (event: string): Promise<Line> => {
    for (;;) {
      const found = lines.find((line) => line["event"] === event);
      if (found !== undefined) return found;
      await once(said, "line");
    }
  };
  const { port } = await until("listening");
  const scrape = async (timeoutMs: number): Promise<string | null> => {
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal });
      return await response.text();
    } catch {
      return null;
    }
  };
  return { child, lines, until, scrape };
}

const latch = 'changeover_latch_tripped{operation="test.block"}';

describe("a candidate that blocks the event loop for 3 s with calls under way", () => {
  it("is rolled back on the first free turn, and is down to a scraper until then", async () => {
    const { child, lines, until, scrape } = await start({});
    expect(await scrape(10_000)).toContain(`${latch} 0`);
    child.stdin.write("go\n");
    expect(await until("calm")).toMatchObject({ tripped: false });
    // As Prometheus does it: an answer that does not come in time is `up 0`.
    const looks: (string | null)[] = [];
    while (!lines.some(({ event }) => event === "first-turn")) looks.push(await scrape(500));
    expect(looks).toContain(null);

    expect(await until("rolled-back")).toMatchObject({ turns: 0 });
    const turn = await until("first-turn");
    // From then on nobody is on the candidate, also not who was.
    expect(turn).toMatchObject({ tripped: true, path: "legacy", reason: "latched" });
    expect(turn["next"]).toBe("legacy");
    expect(turn["blockedMs"]).toBeGreaterThanOrEqual(blockMs - 1);
    // Every caller that had to wait has legacy's answer.
    expect(await until("answered")).toMatchObject({ byLegacy: hanging + 1, of: hanging + 1 });
    expect(await scrape(10_000)).toContain(`${latch} 1`);
  });

  it("and not where the rules that see it are switched off", async () => {
    const off = { enabled: false };
    const guard = { errorRate: off, timeoutRate: off, newException: off, latency: off };
    const { child, until } = await start(guard);
    child.stdin.write("go\n");
    expect(await until("first-turn")).toMatchObject({ tripped: false, next: "candidate" });
  });
});
