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
import { CodedError, codeOf } from "../base/errors.ts";
import { type Call, type CallOptions, CallsInFlight, type Path } from "./call.ts";
import { Latch } from "./latch.ts";
import { isFailureByDefault } from "./outcome.ts";

/** One implementation. It receives the caller's input and the call it belongs to. */
export type PathFunction<I, O> = (input: I, call: Call) => O | PromiseLike<O>;

/** How many bytes of memory one call holds while it runs, on each path. */
export type Cost = Readonly<Record<Path, number>>;

/** What a rehearsal keeps from going away after the caller has its answer. */
export interface Held {
  /** Bytes that stay taken for it, on disk or elsewhere; counted against the shadow's budget. */
  readonly bytes: number;
  /** Called once, when the rehearsal has ended or will not be run. */
  readonly release: () => void;
}

/** The isolated place of one rehearsal. */
export interface RehearsalScope {
  /**
   * Runs the path's own code here, and answers in the form in which results are compared. Throws what
   * the path throws, or `voidRehearsal()` when it cannot be told what the path would have done.
   */
  readonly run: () => unknown;
  /** Removes all that the run left, whatever came of it. Called once, also after an abort. */
  readonly close: () => PromiseLike<void>;
}

/**
 * How a write runs in the shadow without an effect that a user could see: nothing it stores may be found
 * by anybody, and nothing may be sent to a third party. Whoever declares one answers for that.
 */
export interface Rehearsal<I, O> {
  /** Makes a place for one rehearsal of `call.path`; must not do anything yet that could fail halfway. */
  readonly open: (input: I, call: Call) => RehearsalScope;
  /**
   * The served answer in the form in which `RehearsalScope.run` answers. Default: as it is. Fields of
   * `ignore` are left out of the comparison; `same` and `normalise` are not asked.
   */
  readonly expected?: (output: O, input: I) => unknown;
  /**
   * Keeps what the input refers to readable. Called before the caller has its answer, so it must be
   * quick and must not wait. Without it the input itself is all that is needed.
   */
  readonly hold?: (input: I) => Held;
  /**
   * Removes what rehearsals of processes that are gone left behind, and says how many they were. Called
   * soon after the start and every few minutes; must leave those alone that may still be running.
   */
  readonly sweep?: (signal: AbortSignal) => Promise<number>;
}

const voidCode = "MIGRATION_REHEARSAL_VOID";

/** The error of a rehearsal that says nothing about its path: the caller's file is gone, say. */
export function voidRehearsal(why: string, cause?: unknown): CodedError {
  return new CodedError(
    "MIGRATION_REHEARSAL_VOID",
    `The rehearsal could not be carried out: ${why}. It counts as not comparable; nothing needs to be done.`,
    { cause },
  );
}

/** Was this thrown by `voidRehearsal`? */
export function isVoidRehearsal(thrown: unknown): boolean {
  return codeOf(thrown) === voidCode;
}

/**
 * What an application developer declares about one operation. With `legacy` left out the migration is
 * over: the candidate serves every call, and flags, latch and rollback have nothing to choose between.
 */
export interface OperationDeclaration<I, O> {
  /**
   * `<migration>.<operation>`, for example `image.resize`: the name of the flag, of the metric label and
   * of the journal entries. Lower-case letters, digits and dashes, two to four parts.
   */
  readonly name: string;
  /** A read may be repeated freely; a write may not, and is never shadowed unless it can be rehearsed. */
  readonly kind: "read" | "write";
  /** The implementation people are moving away from; left out once it has been removed. */
  readonly legacy?: PathFunction<I, O>;
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
  /** How a write may be run in the shadow. Without it a write is never shadowed; a read needs none. */
  readonly rehearse?: Rehearsal<I, O>;
  /**
   * The input as plain JSON, to be kept with a mismatch so that it can be run again. Leave out contents
   * and secrets: what is returned is written to disk. At most 16 KiB. Default: no input is kept.
   */
  readonly recordInput?: (input: I) => unknown;
  /** The way back from what `recordInput` returned. Without it a case is kept, and cannot be replayed. */
  readonly readInput?: (recorded: unknown) => I;
}

/** An operation that still has both implementations. */
export interface OperationDefinition<I, O> extends OperationDeclaration<I, O> {
  readonly legacy: PathFunction<I, O>;
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

/** Every operation of this process; one that nobody uses any more does not stay because of this. */
const known = new Set<WeakRef<{ readonly load: Readonly<Record<Path, Load>> }>>();

/** Calls of any operation that run in this process right now, on either path. */
export function callsRunning(): number {
  let calls = 0;
  for (const reference of known) {
    const operation = reference.deref();
    if (operation === undefined) known.delete(reference);
    else calls += operation.load.legacy.calls + operation.load.candidate.calls;
  }
  return calls;
}

/** A declared operation together with what the running process knows about it. */
export class Operation<I, O> {
  readonly name: string;
  readonly migration: string;
  readonly definition: OperationDefinition<I, O>;
  readonly latch: Latch;
  readonly load: Readonly<Record<Path, Load>> = { legacy: noLoad(), candidate: noLoad() };
  /** Served candidate calls that have not ended, in order to drain or to abort them after a rollback. */
  readonly inFlight: CallsInFlight = new CallsInFlight();
  /** False once `legacy` was left out of the declaration: the operation runs complete. */
  readonly hasLegacy: boolean;
  /** Set by the guard once the exposure budget of harmed calls is spent. */
  budgetSpent = false;
  /** Set by the guard while memory is short and legacy is the lighter path: new calls go there. */
  shedding = false;
  /** Candidate calls that the guard wants legacy run beside; counted down by the facade. */
  probesWanted = 0;
  /** Set while it is not known whether the fleet rolled this operation back: calls go to legacy. */
  undecided = false;
  /** The rollout is complete: stale flags keep their last known answer. */
  complete = false;

  /** Throws `MIGRATION_INVALID_NAME`. */
  constructor(
    definition: OperationDeclaration<I, O>,
    report: (event: string, error: unknown) => void,
  ) {
    checkOperationName(definition.name);
    this.name = definition.name;
    this.migration = migrationOf(definition.name);
    const { legacy, candidate } = definition;
    this.hasLegacy = legacy !== undefined;
    // Without legacy nothing ever asks for it; whoever lists both paths still finds two functions.
    this.definition = { ...definition, legacy: legacy ?? candidate };
    this.latch = new Latch(definition.name, report);
    known.add(new WeakRef(this));
  }

  /** May the other path run in the shadow? A write may not, until it says how it is rehearsed. */
  get shadowable(): boolean {
    const { kind, rehearse } = this.definition;
    return this.hasLegacy && (kind === "read" || rehearse !== undefined);
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
