import { LRUCache } from "lru-cache";
import type { ByteBudget } from "../base/byte-budget.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { TypedEvent } from "../base/event.ts";
import type { Logger } from "../base/logger.ts";
import {
  ActiveCall,
  type Answered,
  type CallOptions,
  currentScope,
  type Path,
  type Scope,
} from "./call.ts";
import {
  type Decision,
  type DecisionInput,
  decide,
  decideByFacts,
  fact,
  factsOf,
} from "./decision.ts";
import { mayFallBack } from "./fallback.ts";
import type { FlagSource } from "./flags.ts";
import type { LatchRecord } from "./latch.ts";
import type { Observation } from "./observation.ts";
import {
  type AnyOperation,
  type MigratedFunction,
  Operation,
  type OperationDefinition,
} from "./operation.ts";
import { isBad, type Outcome, type Succeeded } from "./outcome.ts";
import { admit, handOver, isPlain, rejecting, run, runPlain } from "./run.ts";

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
  /** Paths that need neither admission nor deadline nor a watched body. */
  readonly plain: Readonly<Record<Path, boolean>>;
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
  #comparedMs = Number.NaN;
  #aheadMs = 0;

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
  migrate<I, O>(definition: OperationDefinition<I, O>): MigratedFunction<I, O> {
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
    const plain = {
      legacy: isPlain(operation, "legacy"),
      candidate: isPlain(operation, "candidate"),
    };
    const route: Route = { operation, answers, plain, revision: -1 };
    this.#routes.set(operation.name, route);
    this.operationAdded.emit(operation);
    return (input, options = noOptions) => {
      try {
        return this.#serve(route, operation, input, options);
      } catch (error) {
        // Options that are no options, such as null: the caller's mistake, as a rejection.
        return Promise.reject(error);
      }
    };
  }

  /** What would be decided for a key right now, and from which facts. Throws `MIGRATION_UNKNOWN_OPERATION`. */
  explain(name: string, key: string): { decision: Decision; input: DecisionInput } {
    const nowMs = this.#options.clock.monotonicMs();
    const facts = this.#gather(this.#route(name), undefined, { key }, { scope: undefined, nowMs });
    const input = factsOf(facts);
    return { decision: decide(input), input };
  }

  /** Nothing in here awaits: each async function on the way of a call costs as much as the rest of it. */
  #serve<I, O>(
    route: Route,
    operation: Operation<I, O>,
    input: I,
    options: CallOptions,
  ): Promise<O> {
    const { clock } = this.#options;
    const scope = currentScope();
    const key = options.key ?? scope?.key ?? "";
    const startedMs = clock.monotonicMs();
    const decision = this.#decide(route, input, options, { scope, nowMs: startedMs });
    const call = new ActiveCall(operation.name, decision.path, "served", key, options);
    const then = (first: Outcome<O>, endedMs: number = clock.monotonicMs()): O | PromiseLike<O> => {
      const atMs = this.#wallMs(endedMs);
      const served = { operation, call, decision, first, fallback: null, input, atMs, endedMs };
      return this.#conclude(operation, input, options, served);
    };
    return route.plain[decision.path]
      ? runPlain(operation, input, call, { clock, startedMs }, then)
      : this.#attempt(operation, input, call).then(then);
  }

  /** Lets legacy answer where that is safe. */
  #conclude<I, O>(
    operation: Operation<I, O>,
    input: I,
    options: CallOptions,
    served: Served<O>,
  ): O | PromiseLike<O> {
    if (!this.#mayFallBack(operation, input, served.first)) {
      return this.#answerWith(operation, options, served, served.call);
    }
    const answering = served.call.again("legacy", "served", options.signal);
    return this.#attempt(operation, input, answering).then((fallback) => {
      const both = { ...served, fallback, ...this.#moment() };
      return this.#answerWith(operation, options, both, answering);
    });
  }

  /** Announces the call and gives the caller what it gets. */
  #answerWith<I, O>(
    operation: Operation<I, O>,
    options: CallOptions,
    served: Served<O>,
    answering: ActiveCall,
  ): O | PromiseLike<O> {
    const answer = served.fallback ?? served.first;
    if (options.onAnswer !== undefined) this.#tell(options.onAnswer, served, answering);
    if (answer.kind === "succeeded" && operation.definition.result === "stream") {
      return this.#handOver(operation, served, answer, answering);
    }
    this.observations.emit(served);
    // A failure is the path's own object: an Error, a string, undefined, whatever it threw.
    return answer.kind === "succeeded" ? answer.output : rejecting(answer.error);
  }

  #decide(route: Route, input: unknown, options: CallOptions, around: Around): Decision {
    const { scope } = around;
    try {
      const decision = decideByFacts(this.#gather(route, input, options, around));
      if (scope === undefined) return decision;
      const fromFlag = decision.reason === "flag-on" || decision.reason === "flag-off";
      if (fromFlag) scope.decided.set(route.operation.migration, decision.path);
      return decision;
    } catch (error) {
      this.report("decide", error);
      return { path: "legacy", shadow: false, reason: "flags-stale" };
    }
  }

  /** What the decision depends on, as bits of one number (`fact`). */
  #gather(route: Route, input: unknown, options: CallOptions, { scope, nowMs }: Around): number {
    const { operation } = route;
    const key = options.key ?? scope?.key ?? "";
    const answer = key === "" ? 0 : this.#answer(route, key);
    const flagOn = (answer & CANDIDATE) !== 0;
    let facts = operation.latch.tripped ? fact.latched : 0;
    if (options.override === "legacy") facts |= fact.toLegacy;
    if (options.override === "candidate") facts |= fact.toCandidate;
    if (key !== "") facts |= fact.hasKey;
    const scoped = scope?.decided.get(operation.migration);
    if (scoped !== undefined)
      facts |= scoped === "legacy" ? fact.scopedLegacy : fact.scopedCandidate;
    if (this.#options.flags.freshness(nowMs).state !== "fresh") facts |= fact.flagsStale;
    if (operation.complete) facts |= fact.complete;
    if (flagOn) facts |= fact.flagOn;
    if ((answer & SHADOW) !== 0 && operation.shadowable) facts |= fact.shadowOn;
    if (flagOn && input !== undefined && this.#noRoom(operation, input)) facts |= fact.noRoom;
    if (operation.budgetSpent) facts |= fact.budgetSpent;
    return facts;
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
    const { clock, budgets } = this.#options;
    const bytes = this.#costOf(operation, input)?.[call.path] ?? 0;
    if (bytes > 0) {
      const refusal = await admit(operation, call, { clock, budget: budgets[call.path], bytes });
      if (refusal !== null) return refusal;
    }
    const outcome = await run(operation, input, call, clock);
    const bodyFollows = outcome.kind === "succeeded" && operation.definition.result === "stream";
    if (!bodyFollows) call.release?.();
    return outcome;
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
    if (first.path !== "candidate" || !isBad(first)) return false;
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
    served: Served<O>,
    answer: Succeeded<O>,
    answering: ActiveCall,
  ): O {
    const onEnd = (ended: Outcome<O>): void => {
      const part = served.fallback === null ? { first: ended } : { fallback: ended };
      this.observations.emit({ ...served, ...part, ...this.#moment() });
    };
    const { clock } = this.#options;
    const digest = served.decision.shadow;
    return handOver(operation, answering, answer, { clock, digest, onEnd });
  }

  #tell<O>(
    onAnswer: (answered: Answered) => void,
    { call, decision, fallback }: Served<O>,
    answering: ActiveCall,
  ): void {
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

  /** Now, on both clocks. */
  #moment(): Pick<Observation, "atMs" | "endedMs"> {
    const endedMs = this.#options.clock.monotonicMs();
    return { atMs: this.#wallMs(endedMs), endedMs };
  }

  /** Wall-clock time of a monotonic moment. The clocks are compared once a second: reading one costs. */
  #wallMs(monotonicMs: number): number {
    if (!(Math.abs(monotonicMs - this.#comparedMs) < 1000)) {
      const { clock } = this.#options;
      this.#comparedMs = clock.monotonicMs();
      this.#aheadMs = clock.now() - this.#comparedMs;
    }
    return Math.round(monotonicMs + this.#aheadMs);
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

/** What surrounds a call: its request scope, and the monotonic time at which it came. */
interface Around {
  readonly scope: Scope | undefined;
  readonly nowMs: number;
}

/** The observation of a call, with the outcomes that one of them is the caller's answer. */
interface Served<O> extends Observation {
  readonly first: Outcome<O>;
  readonly fallback: Outcome<O> | null;
}
