import { LRUCache } from "lru-cache";
import type { ByteBudget } from "../base/byte-budget.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { TypedEvent } from "../base/event.ts";
import type { Logger } from "../base/logger.ts";
import { bodyOf, watchBody } from "./body.ts";
import {
  ActiveCall,
  type Answered,
  type CallOptions,
  currentScope,
  type Path,
  type Scope,
} from "./call.ts";
import { type Decision, type DecisionInput, decide } from "./decision.ts";
import { mayFallBack } from "./fallback.ts";
import type { FlagSource } from "./flags.ts";
import type { LatchRecord } from "./latch.ts";
import type { Observation } from "./observation.ts";
import {
  type AnyOperation,
  type MigratedFunction,
  Operation,
  type OperationDeclaration,
} from "./operation.ts";
import { isBad, type Outcome, type Succeeded } from "./outcome.ts";
import { kindOf, run } from "./run.ts";

/** What a facade is made of. */
export interface FacadeOptions {
  readonly flags: FlagSource;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Admission by declared cost, for each path. */
  readonly budgets: Readonly<Record<Path, ByteBudget>>;
  /** Latches as a store remembered them. */
  readonly latches: readonly LatchRecord[];
  /** Cached flag answers for each operation; default 10,000 keys. */
  readonly cachedAnswersMax?: number;
}

const noOptions: CallOptions = {};
const CANDIDATE = 1;
const SHADOW = 2;

/** One operation with its cached flag answers. */
interface Route {
  readonly operation: AnyOperation;
  readonly answers: LRUCache<string, number>;
  revision: number;
}

/**
 * The one door: decides, runs, lets legacy answer where that is safe, announces one observation, and
 * returns or throws what the path returned or threw. It adds no failure of its own: a flag source or a
 * listener that throws is counted, logged, and the call goes on.
 */
export class Facade {
  readonly observations: TypedEvent<Observation>;
  readonly operationAdded: TypedEvent<AnyOperation>;
  readonly #options: FacadeOptions;
  readonly #routes = new Map<string, Route>();
  readonly #internalErrors = new Map<string, number>();

  constructor(options: FacadeOptions) {
    this.#options = options;
    this.observations = new TypedEvent("observation", this.report);
    this.operationAdded = new TypedEvent("operation-added", this.report);
  }

  /** Counts and logs an error of ours that a caller must not see. */
  readonly report = (part: string, error: unknown): void => {
    const count = (this.#internalErrors.get(part) ?? 0) + 1;
    this.#internalErrors.set(part, count);
    // Every power of two: a broken listener at a thousand calls a second must not flood the log.
    if ((count & (count - 1)) === 0) {
      this.#options.logger.error({ part, count, err: error }, "A part of changeover failed");
    }
  };

  /** How often each part of ours failed without a caller noticing. */
  get internalErrors(): ReadonlyMap<string, number> {
    return this.#internalErrors;
  }

  get operations(): readonly AnyOperation[] {
    return [...this.#routes.values()].map((route) => route.operation);
  }

  /** Throws `MIGRATION_UNKNOWN_OPERATION`, naming those that exist. */
  operation(name: string): AnyOperation {
    return this.#route(name).operation;
  }

  /** Throws `MIGRATION_INVALID_NAME` and, for a second operation of one name, `MIGRATION_DUPLICATE_NAME`. */
  migrate<I, O>(definition: OperationDeclaration<I, O>): MigratedFunction<I, O> {
    const operation = new Operation(definition, this.report);
    if (this.#routes.has(operation.name)) {
      throw new CodedError(
        "MIGRATION_DUPLICATE_NAME",
        `An operation named "${operation.name}" exists already; give each operation its own name.`,
      );
    }
    const remembered = this.#options.latches.find((each) => each.operation === operation.name);
    if (remembered !== undefined) operation.latch.restore(remembered);
    const answers = new LRUCache<string, number>({ max: this.#options.cachedAnswersMax ?? 10_000 });
    const route: Route = { operation, answers, revision: -1 };
    this.#routes.set(operation.name, route);
    this.operationAdded.emit(operation);
    return (input, options = noOptions) => this.#serve(route, operation, input, options);
  }

  /** What would be decided for a key right now, and from which facts. Throws `MIGRATION_UNKNOWN_OPERATION`. */
  explain(name: string, key: string): { decision: Decision; input: DecisionInput } {
    const gathered = this.#gather(this.#route(name), undefined, { key }, undefined);
    const input = { ...gathered, probe: false };
    return { decision: decide(input), input };
  }

  async #serve<I, O>(
    route: Route,
    operation: Operation<I, O>,
    input: I,
    options: CallOptions,
  ): Promise<O> {
    const scope = currentScope();
    const key = options.key ?? scope?.key ?? "";
    let decision = this.#decide(route, input, options, scope);
    let call = new ActiveCall(operation.name, decision.path, "served", key, options);
    let refusal: Outcome<O> | null = null;
    if (operation.definition.cost !== undefined) {
      refusal = await this.#admit(operation, input, call);
      if (decision.path === "candidate" && operation.latch.tripped && operation.hasLegacy) {
        // Rolled back while it waited for room: it has not begun, so it need not go that way.
        call.release?.();
        decision = this.#decide(route, input, options, scope);
        call = new ActiveCall(operation.name, decision.path, "served", key, options);
        refusal = await this.#admit(operation, input, call);
      }
    }
    const first = refusal ?? (await this.#attempt(operation, input, call));
    let answering = call;
    let fallback: Outcome<O> | null = null;
    if (this.#mayFallBack(operation, input, first)) {
      answering = call.again("legacy", "served", options.signal);
      const admitted =
        operation.definition.cost === undefined
          ? null
          : await this.#admit(operation, input, answering);
      fallback = admitted ?? (await this.#attempt(operation, input, answering));
    }
    const served: Served<O> = { decision, call, answering, first, fallback };
    const answer = fallback ?? first;
    if (options.onAnswer !== undefined) this.#tell(options.onAnswer, served);
    if (answer.kind === "succeeded" && operation.definition.result === "stream") {
      return this.#handOver(operation, input, served, answer);
    }
    this.#announce(operation, input, served);
    if (answer.kind === "succeeded") return answer.output;
    // The path's own object: an Error, a string, undefined, whatever it threw.
    throw answer.error;
  }

  #decide(route: Route, input: unknown, options: CallOptions, scope: Scope | undefined): Decision {
    try {
      const decision = decide(this.#gather(route, input, options, scope));
      const fromFlag = decision.reason === "flag-on" || decision.reason === "flag-off";
      if (fromFlag) scope?.decided.set(route.operation.migration, decision.path);
      if (decision.probe === true) route.operation.probesWanted -= 1;
      return decision;
    } catch (error) {
      this.report("decide", error);
      const path = route.operation.hasLegacy ? "legacy" : "candidate";
      return { path, shadow: false, reason: "flags-stale" };
    }
  }

  #gather(
    route: Route,
    input: unknown,
    options: CallOptions,
    scope: Scope | undefined,
  ): DecisionInput {
    const { operation } = route;
    const key = options.key ?? scope?.key ?? "";
    const answer = key === "" ? 0 : this.#answer(route, key);
    const flagOn = (answer & CANDIDATE) !== 0;
    return {
      noLegacy: !operation.hasLegacy,
      latched: operation.latch.tripped,
      override: options.override ?? null,
      hasKey: key !== "",
      scoped: scope?.decided.get(operation.migration) ?? null,
      flagsStale: this.#options.flags.freshness().state !== "fresh",
      complete: operation.complete,
      flagOn,
      shadowOn: (answer & SHADOW) !== 0 && operation.shadowable,
      probe: operation.probesWanted > 0,
      noRoom:
        flagOn && (operation.shedding || (input !== undefined && this.#noRoom(operation, input))),
      budgetSpent: operation.budgetSpent,
    };
  }

  #answer(route: Route, key: string): number {
    const { flags } = this.#options;
    const revision = flags.revision();
    if (revision !== route.revision) {
      route.answers.clear();
      route.revision = revision;
    }
    const cached = route.answers.get(key);
    if (cached !== undefined) return cached;
    const { candidate, shadow } = flags.answer(route.operation.name, key);
    const answer = (candidate ? CANDIDATE : 0) | (shadow ? SHADOW : 0);
    route.answers.set(key, answer);
    return answer;
  }

  /** Rerouting for lack of memory only helps where legacy is no heavier; elsewhere the call waits. */
  #noRoom<I, O>(operation: Operation<I, O>, input: I): boolean {
    const cost = this.#costOf(operation, input);
    if (cost === null || cost.legacy > cost.candidate) return false;
    return !this.#options.budgets.candidate.hasRoom(cost.candidate);
  }

  async #attempt<I, O>(
    operation: Operation<I, O>,
    input: I,
    call: ActiveCall,
  ): Promise<Outcome<O>> {
    if (call.path === "candidate") operation.inFlight.add(call);
    const outcome = await run(operation, input, call, this.#options.clock);
    const bodyFollows = outcome.kind === "succeeded" && operation.definition.result === "stream";
    if (!bodyFollows) leave(operation, call);
    return outcome;
  }

  /** Claims the call's memory; returns the outcome of a call that was not admitted, else null. */
  async #admit<I, O>(
    operation: Operation<I, O>,
    input: I,
    call: ActiveCall,
  ): Promise<Outcome<O> | null> {
    const { path } = call;
    const bytes = this.#costOf(operation, input)?.[path] ?? 0;
    if (bytes <= 0) return null;
    const { clock, budgets } = this.#options;
    const startedMs = clock.monotonicMs();
    try {
      const claimed = await budgets[path].claim(bytes, call.callerSignal);
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

  #costOf<I, O>(operation: Operation<I, O>, input: I): Readonly<Record<Path, number>> | null {
    try {
      return operation.definition.cost?.(input) ?? null;
    } catch (error) {
      this.report("cost", error);
      return null;
    }
  }

  #mayFallBack<I, O>(operation: Operation<I, O>, input: I, first: Outcome<O>): boolean {
    if (first.path !== "candidate" || !isBad(first) || !operation.hasLegacy) return false;
    const { kind, effectOf, replayable } = operation.definition;
    const error = first.kind === "succeeded" ? undefined : first.error;
    try {
      return mayFallBack({
        kind,
        outcome: first.kind,
        bytesSent: first.bytes,
        replayable: replayable?.(input) ?? true,
        effect: effectOf?.(error) ?? "possible",
      }).allowed;
    } catch (thrown) {
      this.report("fallback", thrown);
      return false;
    }
  }

  /** Gives the caller a body that reports how it ended; the observation follows then. */
  #handOver<I, O>(
    operation: Operation<I, O>,
    input: I,
    served: Served<O>,
    answer: Succeeded<O>,
  ): O {
    const body = bodyOf(answer.output);
    const call = served.answering;
    if (body === null) {
      leave(operation, call);
      this.#announce(operation, input, served);
      return answer.output;
    }
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs() - answer.durationMs;
    const load = operation.load[answer.path];
    let firstByteMs: number | null = null;
    load.calls += 1;
    return watchBody(answer.output, body, {
      digest: served.decision.shadow,
      onFirstByte: () => {
        firstByteMs = clock.monotonicMs() - startedMs;
      },
      onEnd: ({ kind, bytes, digest, error }) => {
        load.calls -= 1;
        leave(operation, call);
        const { path } = answer;
        const common = { path, durationMs: clock.monotonicMs() - startedMs, firstByteMs, bytes };
        const ended: Outcome<O> =
          kind === "complete"
            ? { ...common, kind: "succeeded", output: answer.output, digest }
            : { ...common, kind: endKind(operation, call, kind, error), error };
        const isFallback = served.fallback !== null;
        this.#announce(operation, input, {
          ...served,
          ...(isFallback ? { fallback: ended } : { first: ended }),
        });
      },
    });
  }

  #tell<O>(onAnswer: (answered: Answered) => void, served: Served<O>): void {
    const { answering, call, decision, fallback } = served;
    try {
      onAnswer({
        path: answering.path,
        reason: decision.reason,
        fellBack: fallback !== null,
        requestId: call.requestId,
      });
    } catch (error) {
      this.report("on-answer", error);
    }
  }

  #announce<I, O>(operation: Operation<I, O>, input: I, served: Served<O>): void {
    const { call, decision, first, fallback } = served;
    const atMs = this.#options.clock.now();
    this.observations.emit({ operation, call, decision, first, fallback, input, atMs });
  }

  #route(name: string): Route {
    const route = this.#routes.get(name);
    if (route !== undefined) return route;
    throw new CodedError(
      "MIGRATION_UNKNOWN_OPERATION",
      `There is no operation "${name}". Known: ${[...this.#routes.keys()].join(", ") || "none"}.`,
      { status: 404, details: { name } },
    );
  }
}

/** What is known once a call has its answer. */
interface Served<O> {
  readonly decision: Decision;
  /** The call as it was decided. */
  readonly call: ActiveCall;
  /** The same call on the path that answers: another object after a fallback. */
  readonly answering: ActiveCall;
  readonly first: Outcome<O>;
  readonly fallback: Outcome<O> | null;
}

/** A run is over, with its body: its memory is free again. */
function leave(operation: AnyOperation, call: ActiveCall): void {
  call.release?.();
  operation.inFlight.remove(call);
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
