/*
 * The words of this product, one for each idea; code, flags, metrics, logs and console use them alike.
 *
 *   operation    one thing the migrated system can do, with both implementations
 *   path         `legacy` or `candidate`: which implementation ran
 *   call         one use of an operation: routing key, signal, deadline, request id
 *   decision     the path chosen for a call, whether to shadow it, and the reason
 *   outcome      what one path did with one call
 *   observation  call + decision + outcome(s): the only thing metrics, shadow and guard see
 *   shadow       running the other path after the caller has its answer
 *   comparison   of two outcomes: same, different (where), or incomparable (why)
 *   blame        a bad outcome of the candidate that legacy did not share on the same call
 *   verdict      healthy, suspect, breached, inconclusive or blind, with evidence
 *   latch        the kill switch of an operation: stronger than any flag; only a person re-arms it
 *   rollback     the ordered steps that bring every caller back to legacy
 */
import { CodedError } from "../base/errors.ts";
import type { Call, CallOptions, Path } from "./call.ts";
import { Latch } from "./latch.ts";
import { isFailureByDefault } from "./outcome.ts";

/** One implementation. It receives the caller's input and the call it belongs to. */
export type PathFunction<I, O> = (input: I, call: Call) => O | PromiseLike<O>;

/** How many bytes of memory one call holds while it runs, on each path. */
export type Cost = Readonly<Record<Path, number>>;

/** What an application developer declares about one operation. */
export interface OperationDefinition<I, O> {
  /**
   * `<migration>.<operation>`, for example `image.resize`: the name of the flag, of the metric label and
   * of the journal entries. Lower-case letters, digits and dashes, two to four parts.
   */
  readonly name: string;
  /** A read may be repeated freely; a write may not, and is never shadowed unless it can be rehearsed. */
  readonly kind: "read" | "write";
  /** The implementation people are moving away from. */
  readonly legacy: PathFunction<I, O>;
  /** The implementation people are moving to. */
  readonly candidate: PathFunction<I, O>;
  /**
   * `value` (default): the outcome is known when the promise settles. `stream`: the output is a Node
   * `Readable`, a web `ReadableStream`, or an object whose `body` is one; the outcome is announced when
   * the body ends, fails or is cancelled.
   */
  readonly result?: "value" | "stream";
  /** When are two outputs the same? Default: deep equality after `normalise` and without `ignore`. */
  readonly same?: (legacy: O, candidate: O) => boolean;
  /** Fields left out of the comparison, as dotted paths; `*` stands for any one part (`items.*.id`). */
  readonly ignore?: readonly string[];
  /** Turns an output into the value that is compared (drop noise, sort what has no order). */
  readonly normalise?: (output: O) => unknown;
  /**
   * Is this thrown value a failure of the path? Default: yes, but for client errors (an own `status` or
   * `statusCode` of 400 to 499, other than 408 and 429). Whatever a caller's own abort throws never is.
   */
  readonly isFailure?: (thrown: unknown) => boolean;
  /** Milliseconds until the candidate counts as timed out. Default: none. Never applied to legacy. */
  readonly deadlineMs?: number;
  /** Memory one call holds, in bytes on each path; without it the call is not admitted by memory. */
  readonly cost?: (input: I) => Cost;
  /**
   * After a failed write: is it proven that nothing happened (`absent`), so that legacy may still
   * answer? Default: `possible`, which means no fallback.
   */
  readonly effectOf?: (thrown: unknown) => "absent" | "possible";
  /** Can the input be read a second time? Default: yes. A one-shot body says no. */
  readonly replayable?: (input: I) => boolean;
}

/** The function that replaces both implementations at the call site. */
export type MigratedFunction<I, O> = (input: I, options?: CallOptions) => Promise<O>;

const namePattern = /^[a-z0-9-]{1,40}(\.[a-z0-9-]{1,40}){1,3}$/;

/** Throws `MIGRATION_INVALID_NAME` unless the name can be a flag, a label and a file name. */
export function checkOperationName(name: string): void {
  if (namePattern.test(name)) return;
  throw new CodedError(
    "MIGRATION_INVALID_NAME",
    `${JSON.stringify(name)} is not an operation name. Use <migration>.<operation> in lower-case letters, digits and dashes, for example "image.resize".`,
    { status: 400, details: { name } },
  );
}

/** The migration an operation belongs to: everything before the last dot. */
export function migrationOf(operation: string): string {
  return operation.slice(0, operation.lastIndexOf("."));
}

/** What is running at the moment, for each path. Plain numbers, written on every call. */
export interface Load {
  calls: number;
  /** Declared cost of the calls in flight. */
  bytes: number;
  /** Runs that nobody waits for any more, because their deadline passed, and that have not ended. */
  abandoned: number;
}

const noLoad = (): Load => ({ calls: 0, bytes: 0, abandoned: 0 });

/** A declared operation together with what the running process knows about it. */
export class Operation<I, O> {
  readonly name: string;
  readonly migration: string;
  readonly definition: OperationDefinition<I, O>;
  readonly latch: Latch;
  readonly load: Readonly<Record<Path, Load>> = { legacy: noLoad(), candidate: noLoad() };
  /** Set by the guard once the exposure budget of harmed calls is spent. */
  budgetSpent = false;
  /** The rollout is complete: stale flags keep their last known answer. */
  complete = false;

  /** Throws `MIGRATION_INVALID_NAME`. */
  constructor(
    definition: OperationDefinition<I, O>,
    report: (event: string, error: unknown) => void,
  ) {
    checkOperationName(definition.name);
    this.name = definition.name;
    this.migration = migrationOf(definition.name);
    this.definition = definition;
    this.latch = new Latch(definition.name, report);
  }

  /** May the other path run in the shadow? A write may not, until it says how it is rehearsed. */
  get shadowable(): boolean {
    return this.definition.kind === "read";
  }

  /** Is this thrown value a failure of the path? A judge that throws itself is no excuse: it is. */
  isFailure(thrown: unknown): boolean {
    try {
      return (this.definition.isFailure ?? isFailureByDefault)(thrown);
    } catch {
      return true;
    }
  }
}

// biome-ignore lint/suspicious/noExplicitAny: whoever reads observations knows nothing of the two types
export type AnyOperation = Operation<any, any>;
