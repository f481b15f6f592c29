import { relative, resolve } from "node:path";
import type { App } from "../../app/app.ts";
import type { Config } from "../../app/config.ts";
import type { OpenBackend } from "../backend.ts";
import type { Answer } from "../output.ts";
import { type Line, type Span, styled, table } from "../terminal/text.ts";

/** Everything that runs after a start, and where. */
export interface Running {
  readonly config: Config;
  readonly app: App;
  /** The gateway's address. */
  readonly gateway: string;
  readonly backend: OpenBackend;
  readonly logFile: string;
}

/**
 * What `changeover start` prints once calls can be served. No key and no token is in it but the login
 * for the admin pages of the embedded Unleash, which nobody could know otherwise.
 */
export function announcement(running: Running): Answer {
  const { config, app, gateway, backend, logFile } = running;
  const { supabase, kimi, glm } = backend.backend;
  const embedded = backend.sandbox !== null;
  const value = {
    pid: process.pid,
    gateway,
    backend: { embedded, supabase: supabase.url, kimi: kimi?.baseUrl, glm: glm?.baseUrl },
    unleash: backend.fleet?.addresses.unleash.login ?? null,
    dataDir: config.dataDir,
    flagsDir: config.flagsDir,
    logFile,
  };
  const { version } = app.snapshot();
  const lines: Line[] = [
    [styled("good", "changeover is running"), ` ${version}, process ${process.pid}`],
    "",
    ...table([
      ["  gateway", styled("name", gateway), "/v1/files, /metrics, /readyz"],
      [
        "  backend",
        supabase.url,
        embedded ? "Supabase (@supabase/lite on SQLite)" : "SUPABASE_URL",
      ],
      ...provider("kimi", "Kimi", kimi?.baseUrl, backend.sandbox?.addresses.kimi.baseUrl),
      ...provider("glm", "GLM", glm?.baseUrl, backend.sandbox?.addresses.glm.baseUrl),
      ...unleash(backend),
      ["  data", config.dataDir],
      ["  flags", config.flagsDir],
      ["  log", logFile],
    ]),
    "",
    ...flagLines(app),
    "Try next, in another terminal:",
    ...nextCommands(running).map((line) => `  ${line}`),
    "",
    styled("faint", "Ctrl-C stops it; a second Ctrl-C ends it at once."),
  ];
  return { value, lines };
}

function provider(
  name: string,
  title: string,
  address: string | undefined,
  standIn: string | undefined,
): (readonly Span[])[] {
  if (address === undefined) return [[`  ${name}`, "not set up", `${title} takes no files`]];
  const what = address === standIn ? `stand-in for ${title}, not the real service` : title;
  return [[`  ${name}`, address, what]];
}

function unleash({ fleet }: OpenBackend): (readonly Span[])[] {
  if (fleet === null) return [];
  const { url, username, password } = fleet.addresses.unleash.login;
  return [
    ["  unleash", url, "starting; joins in 5 to 20 seconds"],
    ["  login", username, password],
  ];
}

/** How much traffic is on the candidate right now, and what was rolled back before. */
function flagLines(app: App): Line[] {
  const { operations, flags } = app.snapshot();
  const tripped = operations.filter(({ latch }) => latch?.tripped === true);
  const on = operations.filter(({ flag }) => (flag?.percentage ?? 0) > 0);
  const shares = on.map(({ name, flag }) => `${name} ${flag?.percentage ?? 0} %`);
  const lines: Line[] = [
    shares.length === 0
      ? "Every operation is at 0 %: all calls run on legacy."
      : `On the candidate: ${shares.join(", ")}.`,
  ];
  for (const { name, latch } of tripped) {
    lines.push(styled("bad", `${name} stays rolled back since ${latch?.at}: ${latch?.reason}`));
  }
  for (const { subject, message } of flags.problems) {
    lines.push([styled("warn", `${subject}: `), message]);
  }
  return [...lines, ""];
}

function nextCommands({ config, gateway }: Running): string[] {
  const fromClone = import.meta.url.endsWith(".ts");
  const changeover = fromClone ? "npx changeover" : "changeover";
  const usual = config.dataDir === resolve(".changeover");
  const folder = usual ? "" : ` --data-dir ${quoted(config.dataDir)}`;
  return [
    `${changeover} upload README.md --gateway ${gateway}${folder}`,
    `${changeover} flags set upload 50${folder}`,
    `${changeover} status${folder}`,
    `${changeover} sandbox fault candidate --error-rate 0.5${folder}`,
    `curl ${gateway}/metrics`,
  ];
}

/** A path that a shell takes as one word. */
function quoted(path: string): string {
  const short = relative("", path);
  const shown = short.startsWith("..") || short === "" ? path : short;
  return /^[\w./@:+-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", `'\\''`)}'`;
}
