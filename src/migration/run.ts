import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { bodyOf, discardBody, firstByte } from "./body.ts";
import type { ActiveCall } from "./call.ts";
import type { Operation } from "./operation.ts";
import type { Outcome } from "./outcome.ts";

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
