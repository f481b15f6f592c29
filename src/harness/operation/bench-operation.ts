import { createHash } from "node:crypto";
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
 * Loads the module and makes its inputs. Throws `HARNESS_MODULE_INVALID` naming what is wrong with it.
 */
export async function openOperation(file: string): Promise<OpenOperation> {
  const operation = operationIn(file, await importOf(file));
  const { name } = operation;
  const made = operation.inputs;
  const inputs = typeof made === "function" ? await made() : made;
  if (!Array.isArray(inputs) || inputs.length === 0 || inputs.length > INPUTS_MAX) {
    throw invalid(
      file,
      `\`inputs\` must be a list of 1 to ${INPUTS_MAX}, or a function making one`,
    );
  }
  const answer = (path: Path, input: number): Promise<unknown> => {
    const call = new ActiveCall(name, path, "served", "bench", {});
    return Promise.resolve(operation[path](inputs[input % inputs.length], call));
  };
  return {
    name,
    inputs: inputs.length,
    call: async (path, input) => digestOf(await answer(path, input), false),
    isSame: async (input) => {
      const legacy = await digestOf(await answer("legacy", input), true);
      const candidate = await digestOf(await answer("candidate", input), true);
      return (await operation.same?.(legacy, candidate)) ?? isDeepStrictEqual(legacy, candidate);
    },
    close: async () => {
      await operation.close?.();
    },
  };
}

async function importOf(file: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (cause) {
    throw invalid(file, `it cannot be loaded: ${toError(cause).message}`, cause);
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

/** A stream is consumed, with or without remembering what it was; anything else stays as it is. */
async function digestOf(output: unknown, withHash: boolean): Promise<unknown> {
  if (!isStream(output)) return output;
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

function invalid(file: string, why: string, cause?: unknown): CodedError {
  return new CodedError(
    "HARNESS_MODULE_INVALID",
    `${file} cannot be measured: ${why}. It must export \`operation\` with name, legacy, candidate and inputs.`,
    { cause, status: 400 },
  );
}
