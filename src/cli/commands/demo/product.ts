import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { processEnvironment, settings } from "../../../app/config.ts";
import { operatorTokenFile } from "../../../app/secrets.ts";
import type { Clock } from "../../../base/clock.ts";
import { CodedError } from "../../../base/errors.ts";
import { type OperatorDoor, remoteOperator } from "../../doors/operator-door.ts";
import type { FlagsFrom } from "../../process/fleet.ts";
import { Remote } from "../../remote.ts";

/** What the demo's product is started with. */
export interface ProductOptions {
  readonly dataDir: string;
  readonly flags: FlagsFrom | undefined;
  /** Set in place of every setting of this program's own environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Milliseconds until the product must serve: the embedded Unleash makes its database first. */
const startLimitMs = 60_000;
/** Milliseconds that the product gets to stop before it is killed: it drains, then stops its servers. */
const stopLimitMs = 8000;
/** Characters of its last words that are kept. */
const tailMax = 2000;

/** A `changeover start` of the demo's own, in a process of its own, and the door to operate it by. */
export class DemoProduct {
  /** Scheme, host and port of its gateway; the console is served there. */
  readonly origin: string;
  readonly pid: number;
  readonly operator: OperatorDoor;
  readonly #child: ChildProcess;
  readonly #clock: Clock;

  private constructor(
    told: { readonly gateway: string; readonly pid: number },
    operator: OperatorDoor,
    child: ChildProcess,
    clock: Clock,
  ) {
    this.origin = told.gateway;
    this.pid = told.pid;
    this.operator = operator;
    this.#child = child;
    this.#clock = clock;
  }

  /**
   * Starts it and waits until it serves. It is a process group of its own, so that a terminal's Ctrl-C
   * reaches the demo alone; when the demo is killed, the closed channel ends it. Rejects with
   * `CLI_DEMO_START`, with its last words.
   */
  static async start(options: ProductOptions): Promise<DemoProduct> {
    const { dataDir, clock } = options;
    const child = launch(options);
    try {
      const told = await announced(child, options);
      const operatorToken = (await readFile(join(dataDir, operatorTokenFile), "utf8")).trim();
      const remote = await Remote.open({ origin: told.gateway, apiKey: undefined, operatorToken });
      return new DemoProduct(told, remoteOperator(remote, "in the demo"), child, clock);
    } catch (error) {
      await endOf(child, clock);
      throw error;
    }
  }

  /** Has it ended by itself? */
  get gone(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Stops it as Ctrl-C does, within 8 s, and then for certain. Never rejects. */
  async stop(): Promise<void> {
    await this.operator.close();
    await endOf(this.#child, this.#clock);
  }
}

function launch({ dataDir, flags, environment }: ProductOptions): ChildProcess {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const program = fileURLToPath(new URL(`../../main.${extension}`, import.meta.url));
  const source = flags === undefined ? [] : ["--flags", flags];
  const own = new Set(settings.map(({ variable }) => variable));
  // A project, keys or servers of the user's own are no part of a demonstration.
  const inherited = Object.entries(processEnvironment()).filter(([name]) => !own.has(name));
  const words = [program, "start", "--json", "--data-dir", dataDir, ...source];
  return spawn(process.execPath, [...process.execArgv, ...words], {
    env: { ...Object.fromEntries(inherited), ...environment },
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
}

function announced(
  child: ChildProcess,
  { clock, signal }: ProductOptions,
): Promise<{ readonly gateway: string; readonly pid: number }> {
  return new Promise((resolve, reject) => {
    let said = "";
    let tail = "";
    const fail = (why: string): void => {
      const last = tail.trim() === "" ? "" : ` Its last words: ${tail.trim()}`;
      reject(
        new CodedError("CLI_DEMO_START", `The demo's product did not start: ${why}.${last}`, {
          status: 503,
        }),
      );
    };
    const limit = clock.after(startLimitMs, () => fail(`it took over ${startLimitMs / 1000} s`));
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    child.once("error", ({ message }) => fail(message));
    child.once("exit", (code, killedBy) => fail(`it ended (${killedBy ?? `code ${code}`})`));
    child.stderr?.on("data", (chunk: Buffer) => {
      tail = `${tail}${chunk.toString("utf8")}`.slice(-tailMax);
    });
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString("utf8");
      if (!said.trimEnd().endsWith("\n}")) return;
      limit.cancel();
      resolve(JSON.parse(said) as { gateway: string; pid: number });
    });
  });
}

async function endOf(child: ChildProcess, clock: Clock): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const late = clock.after(stopLimitMs, () => child.kill("SIGKILL"), true);
  await gone;
  late.cancel();
}
