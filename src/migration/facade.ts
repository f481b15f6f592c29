import type { ByteBudget } from "../base/byte-budget.ts";
import { type Clock, WallTime } from "../base/clock.ts";
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
import type { FlagSource } from "./flags.ts";
import type { LatchRecord } from "./latch.ts";
import type { Observation } from "./observation.ts";
import {
  type AnyOperation,
  type MigratedFunction,
  Operation,
  type OperationDeclaration,
} from "./operation.ts";
import type { Outcome, Succeeded } from "./outcome.ts";
import { legacyMayAnswer } from "./routing/fallback.ts";
import { CANDIDATE, FlagAnswers, SHADOW } from "./routing/flag-answers.ts";
import { admit, handOver, leave, plainPaths, rejecting, run, runPlain } from "./run.ts";

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

/** One operation with its cached flag answers. */
interface Route {
  readonly operation: AnyOperation;
  readonly answers: FlagAnswers;
  /** Paths without a cost, a deadline or a body, which take the short way. */
  readonly plain: Readonly<Record<Path, boolean>>;
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
  readonly #wall: WallTime;

  constructor(options: FacadeOptions) {
    this.#options = options;
    this.#wall = new WallTime(options.clock);
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
    const { flags, cachedAnswersMax = 10_000 } = this.#options;
    const answers = new FlagAnswers(flags, operation.name, cachedAnswersMax);
    const plain = plainPaths(operation);
    const route: Route = { operation, answers, plain };
    this.#routes.set(operation.name, route);
    this.operationAdded.emit(operation);
    return (input, options = noOptions) => {
      try {
        return this.#serve(route, operation, input, options);
      } catch (error) {
        return Promise.reject(error);
      }
    };
  }

  /** What would be decided for a key right now, and from which facts. Throws `MIGRATION_UNKNOWN_OPERATION`. */
  explain(name: string, key: string): { decision: Decision; input: DecisionInput } {
    const nowMs = this.#options.clock.monotonicMs();
    const facts = this.#gather(this.#route(name), undefined, { key }, undefined, nowMs);
    const input = factsOf(facts & ~fact.probe);
    return { decision: decide(input), input };
  }

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
    const decision = this.#decide(route, input, options, scope, startedMs);
    const call = new ActiveCall(operation.name, decision.path, "served", key, options);
    if (!route.plain[decision.path]) {
      return this.#serveFully(route, operation, input, options, { decision, call, scope });
    }
    if (decision.path === "candidate") operation.inFlight.add(call);
    // No async function stands between a plain path and its caller: that is most of what a facade costs.
    return runPlain(operation, input, call, { clock, startedMs }, (first, endedMs) => {
      if (decision.path === "candidate") operation.inFlight.remove(call);
      const atMs = this.#wall.of(endedMs);
      // The observation itself, so that one object is made and not two.
      const served = { operation, call, decision, first, fallback: null, input, atMs, endedMs };
      return this.#conclude(operation, input, options, served);
    });
  }

  /** The long way: admission, a deadline, a body. */
  async #serveFully<I, O>(
    route: Route,
    operation: Operation<I, O>,
    input: I,
    options: CallOptions,
    begun: { decision: Decision; call: ActiveCall; scope: Scope | undefined },
  ): Promise<O> {
    let { decision, call } = begun;
    let refusal: Outcome<O> | null = null;
    if (operation.definition.cost !== undefined) {
      refusal = await this.#admit(operation, input, call);
      if (decision.path === "candidate" && operation.latch.tripped && operation.hasLegacy) {
        // Rolled back while it waited for room: it has not begun, so it need not go that way.
        call.release?.();
        const nowMs = this.#options.clock.monotonicMs();
        decision = this.#decide(route, input, options, begun.scope, nowMs);
        call = new ActiveCall(operation.name, decision.path, "served", call.key, options);
        refusal = await this.#admit(operation, input, call);
      }
    }
    const first = refusal ?? (await this.#attempt(operation, input, call));
    const common = { operation, call, decision, first, fallback: null, input };
    return this.#conclude(operation, input, options, { ...common, ...this.#moment() });
  }

  #conclude<I, O>(
    operation: Operation<I, O>,
    input: I,
    options: CallOptions,
    served: Served<O>,
  ): O | PromiseLike<O> {
    return this.#mayFallBack(operation, input, served.first)
      ? this.#fallBack(operation, input, options, served)
      : this.#answerWith(operation, options, served, served.call);
  }

  /** Lets legacy answer instead. */
  async #fallBack<I, O>(
    operation: Operation<I, O>,
    input: I,
    options: CallOptions,
    served: Served<O>,
  ): Promise<O> {
    const answering = served.call.again("legacy", "served", options.signal);
    const admitted =
      operation.definition.cost === undefined
        ? null
        : await this.#admit(operation, input, answering);
    const fallback = admitted ?? (await this.#attempt(operation, input, answering));
    const both = { ...served, fallback, ...this.#moment() };
    return this.#answerWith(operation, options, both, answering);
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

  #decide(
    route: Route,
    input: unknown,
    options: CallOptions,
    scope: Scope | undefined,
    nowMs: number,
  ): Decision {
    try {
      const decision = decideByFacts(this.#gather(route, input, options, scope, nowMs));
      if (decision.probe === true) route.operation.probesWanted -= 1;
      if (scope === undefined) return decision;
      const fromFlag = decision.reason === "flag-on" || decision.reason === "flag-off";
      if (fromFlag) scope.decided.set(route.operation.migration, decision.path);
      return decision;
    } catch (error) {
      this.report("decide", error);
      const path = route.operation.hasLegacy ? "legacy" : "candidate";
      return { path, shadow: false, reason: "flags-stale" };
    }
  }

  /** The facts of a call, as bits. */
  #gather(
    route: Route,
    input: unknown,
    options: CallOptions,
    scope: Scope | undefined,
    nowMs: number,
  ): number {
    const { operation } = route;
    const key = options.key ?? scope?.key ?? "";
    const answer = key === "" ? 0 : route.answers.of(key);
    const flagOn = (answer & CANDIDATE) !== 0;
    let facts = operation.latch.tripped || operation.undecided ? fact.latched : 0;
    if (!operation.hasLegacy) facts |= fact.noLegacy;
    if (options.override === "legacy") facts |= fact.toLegacy;
    if (options.override === "candidate") facts |= fact.toCandidate;
    if (key !== "") facts |= fact.hasKey;
    const scoped = scope?.decided.get(operation.migration);
    if (scoped !== undefined) {
      facts |= scoped === "legacy" ? fact.scopedLegacy : fact.scopedCandidate;
    }
    if (this.#options.flags.freshness(nowMs).state !== "fresh") facts |= fact.flagsStale;
    if (operation.complete) facts |= fact.complete;
    if ((answer & SHADOW) !== 0 && operation.shadowable) facts |= fact.shadowOn;
    if (operation.probesWanted > 0) facts |= fact.probe;
    if (operation.budgetSpent) facts |= fact.budgetSpent;
    return flagOn ? facts | fact.flagOn | this.#roomFact(operation, input) : facts;
  }

  #roomFact(operation: AnyOperation, input: unknown): number {
    const full = operation.shedding || (input !== undefined && this.#noRoom(operation, input));
    return full ? fact.noRoom : 0;
  }

  /** Rerouting for lack of memory only helps where legacy is no heavier; elsewhere the call waits. */
  #noRoom<I, O>(operation: Operation<I, O>, input: I): boolean {
    const { budgets } = this.#options;
    const cost = this.#costOf(operation, input);
    return (
      cost !== null && cost.legacy <= cost.candidate && !budgets.candidate.hasRoom(cost.candidate)
    );
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
  #admit<I, O>(
    operation: Operation<I, O>,
    input: I,
    call: ActiveCall,
  ): Promise<Outcome<O> | null> | null {
    const { clock, budgets } = this.#options;
    const bytes = this.#costOf(operation, input)?.[call.path] ?? 0;
    return bytes <= 0 ? null : admit(operation, call, { clock, budget: budgets[call.path], bytes });
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
    try {
      return legacyMayAnswer(operation, input, first);
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
  #moment(): { atMs: number; endedMs: number } {
    const endedMs = this.#options.clock.monotonicMs();
    return { atMs: this.#wall.of(endedMs), endedMs };
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

/** The observation of a call, which knows the type of its answer. */
interface Served<O> extends Observation {
  readonly first: Outcome<O>;
  readonly fallback: Outcome<O> | null;
}
