import { type ChildProcess, spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";

/** The program as a user starts it. */
export const bin: string = fileURLToPath(new URL("../../src/cli/bin.js", import.meta.url));
/** The folder in which it is started: the repository, with its `flags/`. */
export const repository: string = fileURLToPath(new URL("../..", import.meta.url));

/** How a command ended. */
export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  /** The same as it came. */
  readonly bytes: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | Buffer;
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The Node that runs it, with its own arguments. */
  readonly node?: readonly string[];
  /** The user that runs it; needs root. */
  readonly uid?: number;
}

/** Nothing of the test runner's environment: a user's terminal has none of it. */
function environmentOf({ environment = {} }: RunOptions): Record<string, string> {
  const PATH = process.env["PATH"] ?? "";
  // The light mode starts in three seconds; suites that want the servers say so.
  return {
    ...{ PATH, HOME: tmpdir(), CHANGEOVER_PORT: "0", CHANGEOVER_FLAGS: "file" },
    ...environment,
  };
}

/** Starts `changeover <words>`. */
export function spawnChangeover(words: readonly string[], options: RunOptions = {}): ChildProcess {
  const [node = process.execPath, ...nodeWords] = options.node ?? [];
  return spawn(node, [...nodeWords, bin, ...words], {
    cwd: options.cwd ?? repository,
    env: environmentOf(options),
    stdio: ["pipe", "pipe", "pipe"],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
}

/** Runs `changeover <words>` to its end. */
export async function changeover(words: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = spawnChangeover(words, options);
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(options.input ?? "");
  return ended(child);
}

/** Collects what a process says until it has ended. */
export function ended(child: ChildProcess): Promise<Ran> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => err.push(chunk));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      const bytes = Buffer.concat(out);
      const stderr = Buffer.concat(err).toString("utf8");
      resolve({ code, signal, stdout: bytes.toString("utf8"), bytes, stderr });
    });
  });
}

/** A running `changeover start`. */
export interface Started {
  readonly child: ChildProcess;
  /** The process that serves; not the child where an older Node had to hand over. */
  readonly pid: number;
  readonly gateway: string;
  readonly dataDir: string;
  readonly end: Promise<Ran>;
}

/** Starts the product and waits until it says that it runs. */
export async function startChangeover(dataDir: string, options: RunOptions = {}): Promise<Started> {
  const child = spawnChangeover(["start", "--json", "--data-dir", dataDir], options);
  const end = ended(child);
  let text = "";
  const said = new Promise<string>((resolve, reject) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      if (text.trimEnd().endsWith("}")) resolve(text);
    });
    end.then((ran) => reject(new Error(`start ended: ${JSON.stringify(ran)}`)), reject);
  });
  const { pid, gateway } = JSON.parse(await said) as { pid: number; gateway: string };
  return { child, pid, gateway, dataDir, end };
}

/** The error that a command printed with `--json`. */
export function errorOf({ stderr }: Ran): { readonly code: string; readonly message: string } {
  return (JSON.parse(stderr) as { error: { code: string; message: string } }).error;
}

/** Waits until `test` holds, for 10 s at most. */
export async function until(test: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await test())) {
    if (performance.now() > deadline) throw new Error("It did not become so in 10 s.");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
