import { AsyncLocalStorage } from "node:async_hooks";
import type { Release } from "../base/byte-budget.ts";

/** Which implementation runs. */
export type Path = "legacy" | "candidate";

/** Both paths, in the order in which tables list them. */
export const paths: readonly Path[] = ["legacy", "candidate"];

/** Who answered a call, and why it went there. */
export interface Answered {
  /** The path that answered: legacy too when the candidate failed and legacy was allowed to step in. */
  readonly path: Path;
  readonly reason: string;
  readonly fellBack: boolean;
  readonly requestId: string;
}

/** What a caller may say about one call. */
export interface CallOptions {
  /** The routing key: the same key stays on the same path. Needed unless the call is inside a scope. */
  readonly key?: string;
  /** The caller's own cancellation; an aborted call is nobody's failure. */
  readonly signal?: AbortSignal;
  /** An id for logs and comparisons; made up when missing. */
  readonly requestId?: string;
  /** Forces a path for this call. A tripped latch still wins. */
  readonly override?: Path;
  /** Told who answered, just before the promise settles, also when it rejects. */
  readonly onAnswer?: (answered: Answered) => void;
}

/** What a path may know about the call it is running. */
export interface Call {
  readonly operation: string;
  readonly path: Path;
  /** Whether a caller waits for this run, or it is a shadow of one that was already answered. */
  readonly source: "served" | "shadow";
  /** The routing key, or an empty string when there was none. */
  readonly key: string;
  readonly requestId: string;
  /** Aborts when the caller gives up or the deadline passes; pass it on to whatever you await. */
  readonly signal: AbortSignal;
}

const processPrefix = Math.trunc(performance.timeOrigin).toString(36);
let callCount = 0;

/**
 * The call as the facade drives it. The signal and the request id are made when somebody asks for them:
 * most value calls never do, and an AbortController costs more than the rest of the facade.
 */
export class ActiveCall implements Call {
  readonly operation: string;
  readonly path: Path;
  readonly source: "served" | "shadow";
  readonly key: string;
  /** Gives back the memory this call was admitted with. */
  release: Release | null = null;
  /** Where `CallsInFlight` keeps this call; nobody else's business. */
  listed = false;
  before: ActiveCall | null = null;
  after: ActiveCall | null = null;
  readonly #callerSignal: AbortSignal | undefined;
  #requestId: string | undefined;
  #controller: AbortController | undefined;
  #signal: AbortSignal | undefined;
  #abortReason: unknown;
  #aborted = false;

  constructor(
    operation: string,
    path: Path,
    source: "served" | "shadow",
    key: string,
    options: Pick<CallOptions, "signal" | "requestId">,
  ) {
    this.operation = operation;
    this.path = path;
    this.source = source;
    this.key = key;
    this.#callerSignal = options.signal;
    this.#requestId = options.requestId;
  }

  get requestId(): string {
    if (this.#requestId === undefined) {
      callCount += 1;
      this.#requestId = `${processPrefix}-${callCount.toString(36)}`;
    }
    return this.#requestId;
  }

  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      this.#controller = new AbortController();
      this.#signal =
        this.#callerSignal === undefined
          ? this.#controller.signal
          : AbortSignal.any([this.#callerSignal, this.#controller.signal]);
      if (this.#aborted) this.#controller.abort(this.#abortReason);
    }
    return this.#signal;
  }

  /** Did the caller give up? */
  get abortedByCaller(): boolean {
    return this.#callerSignal?.aborted === true;
  }

  /** Tells the path that nobody waits any more; a path that never read the signal is not disturbed. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#abortReason = reason;
    this.#controller?.abort(reason);
  }

  /** The same call on the other path, or as a shadow. */
  again(path: Path, source: "served" | "shadow", signal: AbortSignal | undefined): ActiveCall {
    const options = { requestId: this.requestId, ...(signal === undefined ? {} : { signal }) };
    return new ActiveCall(this.operation, path, source, this.key, options);
  }

  /** The caller's own signal, for another attempt at the same call. */
  get callerSignal(): AbortSignal | undefined {
    return this.#callerSignal;
  }
}

/**
 * The calls of one path that run now. A list through the calls themselves: joining and leaving are a few
 * assignments and allocate nothing.
 */
export class CallsInFlight {
  #newest: ActiveCall | null = null;
  #size = 0;
  #waiting: (() => void)[] = [];

  /** How many calls are running. */
  get size(): number {
    return this.#size;
  }

  add(call: ActiveCall): void {
    if (call.listed) return;
    call.listed = true;
    call.after = null;
    call.before = this.#newest;
    if (this.#newest !== null) this.#newest.after = call;
    this.#newest = call;
    this.#size += 1;
  }

  /** Does nothing for a call that is not in the list. */
  remove(call: ActiveCall): void {
    if (!call.listed) return;
    call.listed = false;
    if (call.after === null) this.#newest = call.before;
    else call.after.before = call.before;
    if (call.before !== null) call.before.after = call.after;
    call.before = null;
    call.after = null;
    this.#size -= 1;
    if (this.#size > 0 || this.#waiting.length === 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Aborts the signal of every call; those that never read their signal run on. Returns how many. */
  abort(reason: unknown): number {
    const calls: ActiveCall[] = [];
    for (let call = this.#newest; call !== null; call = call.before) calls.push(call);
    for (const call of calls) call.abort(reason);
    return calls.length;
  }

  /** Resolves when none is running; at once when that is so now. */
  drained(): Promise<void> {
    return this.#size === 0
      ? Promise.resolve()
      : new Promise((resolve) => {
          this.#waiting.push(resolve);
        });
  }
}

/** Inside a scope one key, and for each migration one decision, hold for all calls. */
export interface Scope {
  readonly key: string;
  readonly decided: Map<string, Path>;
}

const scopes = new AsyncLocalStorage<Scope>();
// Looking up the store costs on every call, so it is only done once a scope has ever been opened.
let scopesUsed = false;

/** Runs `fn` with one routing key and one path per migration for every call made inside it. */
export function runInScope<T>(key: string, fn: () => T): T {
  scopesUsed = true;
  return scopes.run({ key, decided: new Map() }, fn);
}

/** The scope around the present call, if there is one. */
export function currentScope(): Scope | undefined {
  return scopesUsed ? scopes.getStore() : undefined;
}
