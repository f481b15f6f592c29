import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runTool } from "../support/prometheus-tools.ts";

/** One series of an answer: its labels and its points. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly points: readonly (readonly [number, number])[];
}

/** A real Prometheus on a loopback port, with a history in its store. */
export class Prometheus {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #url: string;

  private constructor(process: ChildProcess, folder: string, url: string) {
    this.#process = process;
    this.#folder = folder;
    this.#url = url;
  }

  /** Puts the history into a store of its own and starts a server on it. */
  static async withHistory(openMetrics: string): Promise<Prometheus> {
    const folder = await mkdtemp(join(tmpdir(), "changeover-prometheus-"));
    const input = join(folder, "history.txt");
    await writeFile(input, openMetrics);
    await writeFile(join(folder, "prometheus.yml"), "global: {}\n");
    const data = join(folder, "data");
    const made = runTool("promtool", [
      ...["tsdb", "create-blocks-from", "openmetrics", "--quiet", input, data],
    ]);
    if (made.status !== 0) throw new Error(`No blocks were made: ${made.output}`);
    const port = await freePort();
    const child = spawn(
      "prometheus",
      [
        `--config.file=${join(folder, "prometheus.yml")}`,
        `--storage.tsdb.path=${data}`,
        "--storage.tsdb.retention.time=100y",
        `--web.listen-address=127.0.0.1:${port}`,
        "--log.level=error",
      ],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
    const started = new Prometheus(child, folder, `http://127.0.0.1:${port}`);
    try {
      await started.#ready();
    } catch (error) {
      await started.close();
      throw error;
    }
    return started;
  }

  /** The value of an expression at one moment, in seconds. Throws Prometheus' own words. */
  async at(expr: string, seconds: number): Promise<readonly Series[]> {
    const result = await this.#ask("query", { query: expr, time: String(seconds) });
    return result.map(({ metric, value }) => ({ metric, points: value ? [pointOf(value)] : [] }));
  }

  /** The values of an expression over time. */
  async over(
    expr: string,
    range: { readonly start: number; readonly end: number; readonly step: number },
  ): Promise<readonly Series[]> {
    const { start, end, step } = range;
    const result = await this.#ask("query_range", {
      ...{ query: expr, start: String(start), end: String(end), step: String(step) },
    });
    return result.map(({ metric, values = [] }) => ({ metric, points: values.map(pointOf) }));
  }

  async close(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #ask(door: string, form: Readonly<Record<string, string>>): Promise<readonly RawSeries[]> {
    const response = await fetch(`${this.#url}/api/v1/${door}`, {
      method: "POST",
      body: new URLSearchParams(form),
    });
    const answer = (await response.json()) as Answer;
    if (answer.status !== "success") throw new Error(`${answer.error}: ${form["query"]}`);
    return answer.data?.result ?? [];
  }

  async #ready(): Promise<void> {
    for (let attempt = 0; attempt < 300; attempt += 1) {
      if (this.#process.exitCode !== null) throw new Error("Prometheus ended while it started.");
      const response = await fetch(`${this.#url}/-/ready`).catch(() => null);
      if (response?.ok === true) return;
      await sleep(100);
    }
    throw new Error("Prometheus was not ready after 30 s.");
  }
}

interface RawSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly result: readonly RawSeries[] };
}

const pointOf = ([at, text]: readonly [number, string]): readonly [number, number] => [
  at,
  text === "+Inf" ? Number.POSITIVE_INFINITY : Number(text),
];

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("No port.");
  return address.port;
}
