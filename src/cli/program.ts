import { CommanderError, InvalidArgumentError, Option, Command as Parser } from "commander";
import { isCodedError } from "../base/errors.ts";
import type { CommandRow, OptionRow } from "./command/command-row.ts";
import { commands, groups } from "./commands.ts";
import { type CommandInput, type GlobalOptions, usage } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";

/** What the command line asks for: a command to run, or a text to print. */
export type Request =
  | {
      readonly kind: "run";
      readonly row: CommandRow;
      readonly globals: GlobalOptions;
      readonly input: CommandInput<Readonly<Record<string, unknown>>>;
    }
  | { readonly kind: "print"; readonly text: string }
  /** Nothing was asked for: the text helps, and the exit code is that of wrong usage. */
  | { readonly kind: "help"; readonly text: string };

/**
 * Reads the words behind `changeover`. Throws `CLI_USAGE`, with a suggestion where a command or an
 * option was nearly right.
 */
export function readRequest(words: readonly string[], version: string): Request {
  let found: Request | undefined;
  let printed = "";
  const print = (text: string): void => {
    printed += text;
  };
  const program = buildProgram(version, print, (request) => {
    found = request;
  });
  try {
    program.parse([...words], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.help") return { kind: "help", text: printed.trimEnd() };
    if (error.exitCode === 0) return { kind: "print", text: printed.trimEnd() };
    throw usage(sentence(error.message));
  }
  return found ?? { kind: "help", text: program.helpInformation().trimEnd() };
}

function buildProgram(
  version: string,
  print: (text: string) => void,
  onRun: (request: Request) => void,
): Parser {
  const program = new Parser("changeover")
    .description(
      "Moves production traffic from a legacy code path to a new one, and back by itself.",
    )
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "explain")
    .exitOverride()
    // Before any command is added: each takes these settings over when it is.
    .configureOutput({ writeOut: print, writeErr: print, outputError: () => undefined })
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showSuggestionAfterError();
  for (const option of globalOptions) program.addOption(option());
  const groupParsers = new Map<string, Parser>();
  for (const row of commands) {
    const [first = "", second] = row.name.split(" ");
    if (second === undefined) {
      addCommand(program, row, onRun);
      continue;
    }
    const group =
      groupParsers.get(first) ?? program.command(first).description(groups[first] ?? first);
    groupParsers.set(first, group);
    addCommand(group, { ...row, name: second }, onRun, row);
  }
  program.addHelpText("after", rootHelp);
  return program;
}

function addCommand(
  parent: Parser,
  { name, words, meaning, options = [], examples, byDefault = false }: CommandRow,
  onRun: (request: Request) => void,
  row: CommandRow = commands.find((each) => each.name === name) as CommandRow,
): void {
  const typed = words === undefined ? name : `${name} ${words}`;
  const command = parent.command(typed, { isDefault: byDefault });
  command.description(meaning).allowExcessArguments(false);
  for (const option of options) command.addOption(optionOf(option));
  command.addHelpText("after", `\nExamples:\n${examples.map((line) => `  ${line}`).join("\n")}`);
  command.action(() => {
    const given = command.optsWithGlobals<Record<string, unknown>>();
    const globals: GlobalOptions = {
      json: given["json"] === true,
      dataDir: given["dataDir"] as string | undefined,
      gateway: given["gateway"] as string | undefined,
      apiKey: given["apiKey"] as string | undefined,
    };
    const input = { words: command.args, options: command.opts() };
    onRun({ kind: "run", row, globals, input });
  });
}

const globalOptions: readonly (() => Option)[] = [
  () => new Option("--json", "print the answer as one JSON value, errors as JSON too"),
  () =>
    new Option("--data-dir <folder>", "folder of everything that is kept (CHANGEOVER_DATA_DIR)"),
  () =>
    new Option("--gateway <url>", "send the command to this gateway").argParser(
      coded((text) => gatewayAddress(text)),
    ),
  () => new Option("--api-key <key>", "bearer key naming the owner").env("CHANGEOVER_API_KEY"),
];

function optionOf({ flags, meaning, fallback, choices, parse }: OptionRow): Option {
  const option = new Option(flags, meaning);
  if (choices !== undefined) option.choices([...choices]);
  if (parse !== undefined) option.argParser(coded(parse));
  if (fallback !== undefined) option.default(fallback);
  return option;
}

/** Lets a coded error of a parser reach the user as it is, without commander's words around it. */
function coded<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (isCodedError(error)) throw error;
      throw new InvalidArgumentError(String(error));
    }
  };
}

/** An http(s) address without a path; throws `CLI_USAGE`. */
function gatewayAddress(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const fits = url !== null && /^https?:$/.test(url.protocol) && url.username === "";
  if (fits && /^\/?$/.test(url.pathname) && url.search === "") return url.origin;
  throw usage(
    `${JSON.stringify(text.slice(0, 200))} is not the address of a gateway. Use one like http://127.0.0.1:8787.`,
  );
}

/** Commander's `error: unknown command 'upstart'\n(Did you mean upload?)` as one sentence. */
function sentence(message: string): string {
  const plain = message
    .replace(/^error: /, "")
    .replace(/\s*\n\s*/g, " ")
    .trim();
  const text = plain.charAt(0).toUpperCase() + plain.slice(1);
  const ended = /[.)?]$/.test(text) ? text : `${text}.`;
  return `${ended} See changeover --help.`;
}

function rootHelp(): string {
  const lines = commands.map((row) => `  ${row.examples[0] ?? ""}`);
  const codes = Object.values(exitCodes).map(
    ({ code, meaning }) => `  ${String(code).padEnd(5)}${meaning}`,
  );
  return ["", "Examples:", ...lines, "", "Exit codes:", ...codes].join("\n");
}
