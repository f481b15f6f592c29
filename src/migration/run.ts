import type { ByteBudget } from "../base/byte-budget.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { bodyOf, discardBody, firstByte, watchBody } from "./body.ts";
import type { ActiveCall, Path } from "./call.ts";
import type { Operation } from "./operation.ts";
import type { Outcome, Succeeded } from "./outcome.ts";

/**
 * Runs one path of an operation and says what it did. Never throws: whatever the path throws, also
 * synchronously, also a falsy value, becomes an outcome that carries the thrown value itself.
 */
export async function run<I, O>(
  operation: Operation<I, O>,
  input: I,
  call: ActiveCall,
  clock: Clock,
): Promise<Outcome<O>> {
  const { path } = call;
  const startedMs = clock.monotonicMs();
  const load = operation.load[path];
  const { definition } = operation;
  const limitMs = path === "candidate" ? definition.deadlineMs : undefined;
  load.calls += 1;
  try {
    const answer = definition[path](input, call);
    // Until the first byte is there another path may still answer; legacy is never waited for.
    const started = path === "candidate" && definition.result === "stream";
    const work = started ? withFirstByte(answer) : answer;
    const output =
      limitMs === undefined
        ? await work
        : await withDeadline(Promise.resolve(work), { limitMs, call, clock, load });
    const durationMs = clock.monotonicMs() - startedMs;
    return {
      kind: "succeeded",
      path,
      output,
      durationMs,
      firstByteMs: null,
      bytes: 0,
      digest: null,
    };
  } catch (error) {
    const durationMs = clock.monotonicMs() - startedMs;
    const kind = kindOf(operation, call, error);
    return { kind, path, error, durationMs, firstByteMs: null, bytes: 0 };
  } finally {
    load.calls -= 1;
  }
}

/** Which paths may {@link runPlain} run? Not what has a deadline, a cost to be admitted with or a body. */
export function plainPaths<I, O>({ definition }: Operation<I, O>): Record<Path, boolean> {
  const { cost, deadlineMs, result } = definition;
  const legacy = cost === undefined && result !== "stream";
  return { legacy, candidate: legacy && deadlineMs === undefined };
}

/**
 * {@link run} for what {@link plainPaths}: no async function stands between the path and its caller, which
 * is most of what a facade costs. Resolves to what `conclude` returns for the outcome; what it throws, the
 * caller gets as a rejection. A promise chained by `then` keeps the caller's frames in async stack traces;
 * the path's own promise with a second listener, which would make a failure cheaper by a tenth, loses them.
 */
export function runPlain<I, O, R>(
  operation: Operation<I, O>,
  input: I,
  call: ActiveCall,
  { clock, startedMs }: { clock: Clock; startedMs: number },
  conclude: (outcome: Outcome<O>, endedMs: number) => R | PromiseLike<R>,
): Promise<R> {
  const { path } = call;
  const load = operation.load[path];
  load.calls += 1;
  let work: Promise<Awaited<O>>;
  try {
    work = Promise.resolve(operation.definition[path](input, call));
  } catch (error) {
    work = Promise.reject(error);
  }
  return work.then(
    (output) => {
      load.calls -= 1;
      const endedMs = clock.monotonicMs();
      const durationMs = endedMs - startedMs;
      return conclude(
        { kind: "succeeded", path, output, durationMs, firstByteMs: null, bytes: 0, digest: null },
        endedMs,
      );
    },
    (error: unknown) => {
      load.calls -= 1;
      const endedMs = clock.monotonicMs();
      const durationMs = endedMs - startedMs;
      const kind = kindOf(operation, call, error);
      return conclude({ kind, path, error, durationMs, firstByteMs: null, bytes: 0 }, endedMs);
    },
  );
}

/**
 * Rejects the promise that it is returned to, with this very value. Not `throw`, which makes the engine
 * work out where it was thrown, and not a rejected promise, which is reported as unhandled at first.
 */
export function rejecting(error: unknown): PromiseLike<never> {
  // biome-ignore lint/suspicious/noThenProperty: a promise adopts what has a `then`, which is the point
  return { then: (_resolve, reject) => reject?.(error) as never };
}

/** Claims the call's memory; returns the outcome of a call that was not admitted, else null. */
export async function admit<I, O>(
  operation: Operation<I, O>,
  call: ActiveCall,
  { clock, budget, bytes }: { clock: Clock; budget: ByteBudget; bytes: number },
): Promise<Outcome<O> | null> {
  const { path } = call;
  const startedMs = clock.monotonicMs();
  try {
    const claimed = await budget.claim(bytes, call.callerSignal);
    const load = operation.load[path];
    load.bytes += bytes;
    call.release = () => {
      load.bytes -= bytes;
      call.release = null;
      claimed();
    };
    return null;
  } catch (error) {
    // Not the path's failure: it never ran. The caller gets a coded error with a retry time.
    const kind = call.abortedByCaller ? "aborted" : "refused";
    const durationMs = clock.monotonicMs() - startedMs;
    return { kind, path, error, durationMs, firstByteMs: null, bytes: 0 };
  }
}

/** A run is over, with its body: its memory is free again, and a rollback need not wait for it. */
export function leave<I, O>(operation: Operation<I, O>, call: ActiveCall): void {
  call.release?.();
  operation.inFlight.remove(call);
}

/** What is done with the body of an answer on its way to the caller. */
export interface HandOver<O> {
  readonly clock: Clock;
  /** Whether it is hashed. */
  readonly digest: boolean;
  /** Told how the body ended, once; at once for an answer without a body. */
  readonly onEnd: (ended: Outcome<O>) => void;
}

/** The answer for the caller: its body, if it has one, reports how it ended and frees what it held. */
export function handOver<I, O>(
  operation: Operation<I, O>,
  call: ActiveCall,
  answer: Succeeded<O>,
  { clock, digest: wanted, onEnd }: HandOver<O>,
): O {
  const body = bodyOf(answer.output);
  if (body === null) {
    leave(operation, call);
    onEnd(answer);
    return answer.output;
  }
  const startedMs = clock.monotonicMs() - answer.durationMs;
  const load = operation.load[answer.path];
  let firstByteMs: number | null = null;
  load.calls += 1;
  return watchBody(answer.output, body, {
    digest: wanted,
    onFirstByte: () => {
      firstByteMs = clock.monotonicMs() - startedMs;
    },
    onEnd: ({ kind, bytes, digest, error }) => {
      load.calls -= 1;
      leave(operation, call);
      const { path } = answer;
      const common = { path, durationMs: clock.monotonicMs() - startedMs, firstByteMs, bytes };
      onEnd(
        kind === "complete"
          ? { ...common, kind: "succeeded", output: answer.output, digest }
          : { ...common, kind: endKind(operation, call, kind, error), error },
      );
    },
  });
}

function endKind<I, O>(
  operation: Operation<I, O>,
  call: ActiveCall,
  kind: "failed" | "cancelled",
  error: unknown,
): "aborted" | "failed" | "refused" {
  if (kind === "cancelled") return "aborted";
  const ended = kindOf(operation, call, error);
  return ended === "timed-out" ? "failed" : ended;
}

/** How a thrown value counts. */
export function kindOf(
  operation: { isFailure(thrown: unknown): boolean },
  call: ActiveCall,
  error: unknown,
): "aborted" | "timed-out" | "refused" | "failed" {
  if (call.abortedByCaller) return "aborted";
  if (error instanceof DeadlineError) return "timed-out";
  return operation.isFailure(error) ? "failed" : "refused";
}

/** The candidate's deadline passed. Its own class, so that a path's own error is never mistaken for it. */
class DeadlineError extends CodedError {
  constructor(operation: string, limitMs: number) {
    super(
      "MIGRATION_DEADLINE_EXCEEDED",
      `The candidate of ${operation} did not answer within its deadline of ${limitMs} ms. Its work may still be going on.`,
      { status: 504, retryable: true, details: { operation, limitMs } },
    );
  }
}

async function withFirstByte<O>(answer: O | PromiseLike<O>): Promise<O> {
  const output = await answer;
  const body = bodyOf(output);
  if (body !== null) await firstByte(body);
  return output;
}

interface Deadline {
  readonly limitMs: number;
  readonly call: ActiveCall;
  readonly clock: Clock;
  readonly load: { abandoned: number };
}

function withDeadline<O>(work: Promise<O>, deadline: Deadline): Promise<O> {
  const { limitMs, call, clock, load } = deadline;
  return new Promise<O>((resolve, reject) => {
    let abandoned = false;
    const timer = clock.after(limitMs, () => {
      abandoned = true;
      load.abandoned += 1;
      const error = new DeadlineError(call.operation, limitMs);
      call.abort(error);
      reject(error);
    });
    const settle = (report: () => void): void => {
      timer.cancel();
      if (abandoned) load.abandoned -= 1;
      else report();
    };
    work.then(
      (output) => {
        if (abandoned) discardBody(output);
        settle(() => resolve(output));
      },
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
