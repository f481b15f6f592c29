import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { CodedError, toError } from "../../base/errors.ts";
import { ActiveCall, type Path } from "../../migration/call.ts";
import type { PathFunction } from "../../migration/operation.ts";

/**
 * What a module for `changeover bench --module` exports, as `operation` or by default: both paths as
 * `migrate()` takes them, and what they are called with.
 */
export interface BenchOperation<I = unknown, O = unknown> {
  /** Names it in the report. */
  readonly name: string;
  readonly legacy: PathFunction<I, O>;
  readonly candidate: PathFunction<I, O>;
  /** One or more inputs, or a function that makes them, called once in every measured process. */
  readonly inputs: readonly I[] | (() => readonly I[] | PromiseLike<readonly I[]>);
  /** When two results are the same; default: deep equality, for streams of bytes their SHA-256. */
  readonly same?: (legacy: O, candidate: O) => boolean | PromiseLike<boolean>;
  /** Called before a measured process ends. */
  readonly close?: () => unknown;
}

/** An operation whose inputs have been made. */
export interface OpenOperation {
  readonly name: string;
  readonly inputs: number;
  /** Calls a path with an input, by its number modulo their count, and consumes what it answers. */
  readonly call: (path: Path, input: number) => Promise<unknown>;
  /** Whether both paths answer the same to an input. */
  readonly isSame: (input: number) => Promise<boolean>;
  readonly close: () => Promise<void>;
}

/** Inputs at most: each is kept. */
const INPUTS_MAX = 10_000;

/**
 * Loads the module and makes its inputs. Throws `HARNESS_MODULE_INVALID` naming what is wrong with it, and,
 * as everything that calls it does, `HARNESS_SUBJECT_FAILED` naming which of its functions threw.
 */
export async function openOperation(file: string): Promise<OpenOperation> {
  const operation = operationIn(file, await importOf(file));
  const { name } = operation;
  const made = operation.inputs;
  const inputs = typeof made === "function" ? await own(name, "`inputs`", () => made()) : made;
  if (!Array.isArray(inputs) || inputs.length === 0 || inputs.length > INPUTS_MAX) {
    throw invalid(
      file,
      `\`inputs\` must be a list of 1 to ${INPUTS_MAX}, or a function making one`,
    );
  }
  // One asynchronous function and no more: what it costs is in every measured call.
  const answer = async (path: Path, input: number, withHash: boolean): Promise<unknown> => {
    const number = input % inputs.length;
    const call = new ActiveCall(name, path, "served", "bench", {});
    try {
      const output = await operation[path](inputs[number], call);
      return isStream(output) ? await digestOf(output, withHash) : output;
    } catch (cause) {
      throw threw(name, `the ${path}, given input ${number} (from 0),`, cause);
    }
  };
  return {
    name,
    inputs: inputs.length,
    call: (path, input) => answer(path, input, false),
    isSame: async (input) => {
      const legacy = await answer("legacy", input, true);
      const candidate = await answer("candidate", input, true);
      const told = await own(name, `\`same\`, given the answers to input ${input} (from 0),`, () =>
        operation.same?.(legacy, candidate),
      );
      return told ?? isDeepStrictEqual(legacy, candidate);
    },
    close: async () => {
      await own(name, "`close`", () => operation.close?.());
    },
  };
}

/** Runs a function of the user's. */
async function own<T>(operation: string, what: string, run: () => T | PromiseLike<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw threw(operation, what, cause);
  }
}

/** What a function of the user's threw, with the place where it did. */
function threw(operation: string, what: string, cause: unknown): CodedError {
  const { name, message } = toError(cause);
  const stack = cause instanceof Error ? (cause.stack ?? "") : "";
  const place = /^ +at .*$/m.exec(stack)?.[0];
  const text = `"${operation}" cannot be measured: ${what} threw ${name}: ${message}`;
  return new CodedError(
    "HARNESS_SUBJECT_FAILED",
    place === undefined ? text : `${text}\n${place}`,
    { cause },
  );
}

async function importOf(file: string): Promise<Record<string, unknown>> {
  const found = await stat(file).catch(() => null);
  if (found === null) throw unusable(file, "there is no such file");
  if (!found.isFile()) throw unusable(file, "it is no file");
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (cause) {
    throw unusable(file, `it cannot be loaded: ${toError(cause).message}`, cause);
  }
}

function operationIn(file: string, module: Record<string, unknown>): BenchOperation {
  const found = (module["operation"] ?? module["default"]) as Partial<BenchOperation> | undefined;
  if (typeof found !== "object" || found === null) {
    throw invalid(file, "it exports no object called `operation` and none by default");
  }
  if (typeof found.name !== "string" || found.name === "") {
    throw invalid(file, "`name` must be a text that is not empty");
  }
  for (const path of ["legacy", "candidate"] as const) {
    if (typeof found[path] !== "function") throw invalid(file, `\`${path}\` must be a function`);
  }
  if (found.inputs === undefined) throw invalid(file, "`inputs` is missing");
  return found as BenchOperation;
}

/** A stream is consumed, with or without remembering what it was. */
async function digestOf(output: AsyncIterable<unknown>, withHash: boolean): Promise<unknown> {
  const hash = withHash ? createHash("sha256") : null;
  let bytes = 0;
  for await (const chunk of output) {
    const piece = typeof chunk === "string" ? Buffer.from(chunk) : (chunk as Uint8Array);
    bytes += piece.byteLength;
    hash?.update(piece);
  }
  return { bytes, sha256: hash?.digest("hex") ?? null };
}

function isStream(output: unknown): output is AsyncIterable<unknown> {
  return typeof output === "object" && output !== null && Symbol.asyncIterator in output;
}

function invalid(file: string, why: string): CodedError {
  return unusable(
    file,
    `${why}. It must export \`operation\` with name, legacy, candidate and inputs`,
  );
}

function unusable(file: string, why: string, cause?: unknown): CodedError {
  return new CodedError("HARNESS_MODULE_INVALID", `${file} cannot be measured: ${why}.`, {
    cause,
    status: 400,
  });
}
