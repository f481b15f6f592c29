import type { Config } from "../app/config.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import type { ExitName } from "./exit-codes.ts";
import type { Answer, Output } from "./output.ts";

/** Options that every command takes. */
export interface GlobalOptions {
  readonly json: boolean;
  readonly dataDir: string | undefined;
  /** Address of a gateway, without a path. */
  readonly gateway: string | undefined;
  /** Bearer key that names the owner of files. */
  readonly apiKey: string | undefined;
}

/** What a command is given. */
export interface CommandContext {
  readonly output: Output;
  readonly globals: GlobalOptions;
  readonly clock: Clock;
  /** The configuration, with `--data-dir` applied. Throws `CONFIG_INVALID`. */
  readonly config: () => Config;
  /** Aborts when the user wants the command to stop. */
  readonly signal: AbortSignal;
  /** Gives the command so many milliseconds to stop, once it was told to. Default 2500. */
  readonly allowToStop: (ms: number) => void;
}

/** One of several things failed. */
export interface Failure {
  /** Which one, as it was typed; null when there was only one. */
  readonly subject: string | null;
  readonly error: unknown;
}

/** How a command ended that did not throw. */
export interface CommandResult {
  /** Null when the command has printed what it had to say. */
  readonly answer: Answer | null;
  /** Default `done`. */
  readonly exit?: ExitName;
  /** What went wrong with single files, printed below the answer. With `--json` part of its value. */
  readonly failures?: readonly Failure[];
}

/** What was typed behind the command's name, as its row in `commands.ts` reads it. */
export interface CommandInput<Options> {
  /** Arguments in their order; a missing optional one is undefined, several are a list. */
  readonly words: readonly string[];
  readonly options: Options;
}

/** One command. */
export type Command<Options> = (
  context: CommandContext,
  input: CommandInput<Options>,
) => Promise<CommandResult>;

/** Bad usage that the parser of arguments cannot see. */
export function usage(message: string): CodedError {
  return new CodedError("CLI_USAGE", message, { status: 400 });
}

/** Reads a whole number for `what`; throws `CLI_USAGE` naming the value and what is accepted. */
export function wholeNumber(what: string, text: string, min: number, max: number): number {
  const number = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw usage(
    `${JSON.stringify(text.slice(0, 40))} is not accepted for ${what}. Use a whole number from ${min} to ${max}.`,
  );
}

/** Reads a share such as `0.5` for `what`; throws `CLI_USAGE`. */
export function share(what: string, text: string): number {
  const number = /^(\d+(\.\d*)?|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (number >= 0 && number <= 1) return number;
  throw usage(
    `${JSON.stringify(text.slice(0, 40))} is not accepted for ${what}. Use a share from 0 to 1, such as 0.5.`,
  );
}

/** Reads a number above 0 such as `0.1` for `what`; throws `CLI_USAGE`. */
export function positiveNumber(what: string, text: string): number {
  const number = /^(\d+(\.\d*)?|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (number > 0) return number;
  throw usage(
    `${JSON.stringify(text.slice(0, 40))} is not accepted for ${what}. Use a number above 0, such as 0.5.`,
  );
}

/** Reads a moment such as `2026-11-21T09:00:00Z`, as milliseconds since the Unix epoch; throws `CLI_USAGE`. */
export function momentMs(text: string): number {
  const ms = Date.parse(text);
  if (/^\d{4}-\d{2}-\d{2}/.test(text) && !Number.isNaN(ms)) return ms;
  throw usage(
    `${JSON.stringify(text.slice(0, 40))} is not accepted for --since. Use a time like 2026-11-21 or 2026-11-21T09:00:00Z.`,
  );
}
