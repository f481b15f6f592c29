import { readFile } from "node:fs/promises";
import { type Config, processEnvironment, readConfig } from "../app/config.ts";
import { systemClock } from "../base/clock.ts";
import { codeOf } from "../base/errors.ts";
import { type CommandContext, type GlobalOptions, usage } from "./context.ts";
import { type ExitName, exitCodes, exitOf } from "./exit-codes.ts";
import { Output } from "./output.ts";
import { Interruption } from "./process/interruption.ts";
import { type Request, readRequest } from "./program.ts";

/** How long something may keep the process alive after its command has ended. */
const LINGER_LIMIT_MS = 1000;
/** The longest time that a timer of Node's takes, in milliseconds: 24.8 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

// Files made by any command are for this user only.
process.umask(0o077);
const words = process.argv.slice(2);
const output = new Output(words.includes("--json"));
surviveClosedPipes();
const interruption = new Interruption(systemClock);
process.on("uncaughtException", (error) => {
  output.error(error);
  process.exit(exitCodes.failed.code);
});
// Between two tries a command waits for a timer alone, and timers do not keep a process alive.
const alive = systemClock.after(LONGEST_TIMER_MS, () => undefined, true);
const exit = await run();
alive.cancel();
interruption.ended();
process.exitCode = exitCodes[exit].code;
watchExit();

async function run(): Promise<ExitName> {
  try {
    const request = readRequest(words, await version());
    return await serve(request);
  } catch (error) {
    const thrown = interruption.signal.aborted ? interruption.signal.reason : error;
    output.error(thrown);
    return exitOf(thrown);
  }
}

async function serve(request: Request): Promise<ExitName> {
  if (request.kind === "print") {
    await output.text(request.text);
    return "done";
  }
  if (request.kind === "help") {
    if (output.json) throw usage("No command was given. See changeover --help.");
    await output.text(request.text, "stderr");
    return "usage";
  }
  const command = await request.row.load();
  interruption.listen();
  const result = await command(contextOf(request.globals), request.input);
  if (result.answer !== null) await output.answer(result.answer);
  // With --json they are part of the answer.
  if (output.json) return result.exit ?? "done";
  for (const { subject, error } of result.failures ?? []) output.error(error, subject);
  return result.exit ?? "done";
}

function contextOf(globals: GlobalOptions): CommandContext {
  let config: Config | undefined;
  return {
    output,
    globals,
    clock: systemClock,
    signal: interruption.signal,
    allowToStop: (ms) => interruption.allow(ms),
    config: () => {
      const given = processEnvironment();
      const { dataDir } = globals;
      config ??= readConfig(
        dataDir === undefined ? given : { ...given, CHANGEOVER_DATA_DIR: dataDir },
      );
      return config;
    },
  };
}

async function version(): Promise<string> {
  const manifest = await readFile(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

/** `changeover ls | head -1`: a reader that has enough is no failure of ours. */
function surviveClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      if (codeOf(error) === "EPIPE") process.exit(process.exitCode ?? exitCodes.done.code);
      throw error;
    });
  }
}

/** Ends the process when something still holds it, and names what it was: that is a fault of ours. */
function watchExit(): void {
  systemClock.after(LINGER_LIMIT_MS, () => {
    const held = [...new Set(process.getActiveResourcesInfo())].join(", ");
    output.note(`The command has ended, but something kept running (${held}); ended all the same.`);
    process.exit();
  });
}
