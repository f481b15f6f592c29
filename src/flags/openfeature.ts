import type { Client, Provider } from "@openfeature/server-sdk";
import { LRUCache } from "lru-cache";
import { type Clock, systemClock, type Timer } from "../base/clock.ts";
import { CodedError, codeOf } from "../base/errors.ts";
import { type Logger, silentLogger } from "../base/logger.ts";
import type { FlagAnswer, FlagFreshness, FlagProblem, FlagSource } from "../migration/flags.ts";
import { routingKeyProperty, shadowFlagOf } from "./features.ts";

type OpenFeatureSdk = typeof import("@openfeature/server-sdk");

/** Which flags, and how closely they are followed. Give a `client` or a `provider`. */
export interface OpenFeatureFlagsOptions {
  /** A client of yours; its provider stays yours to close. */
  readonly client?: Client;
  /** A provider; it is registered under `domain`, and closed with the flags. */
  readonly provider?: Provider;
  /** The domain that `provider` is registered under; default `changeover`. */
  readonly domain?: string;
  /** After how many milliseconds a key's answer is asked for again; default 5,000. */
  readonly refreshMs?: number;
  /** After how many milliseconds without a word from the provider flags count as stale; default 30,000. */
  readonly staleMs?: number;
  /** Longest that one evaluation may take, in milliseconds; default 1,000. */
  readonly evaluateMs?: number;
  /** Longest that `ready()` waits for the provider, in milliseconds; default 2,000. */
  readonly readyMs?: number;
  /** Keys, of each operation, whose answers are remembered; default 20,000 in all. */
  readonly cachedMax?: number;
  /** Evaluations that run at once; default 64. */
  readonly concurrency?: number;
  /** Evaluations that wait for their turn; default 1,000. More are left for the next time the key is asked for. */
  readonly waitingMax?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** What is remembered of one key of one operation. */
interface Remembered {
  readonly operation: string;
  readonly key: string;
  answer: FlagAnswer;
  /** When it was last told, on the monotonic clock; null: never. */
  toldMs: number | null;
  /** The provider's configuration that it was told under. */
  generation: number;
  asked: boolean;
}

const off: FlagAnswer = { candidate: false, shadow: false };
/** The revision grows this much later, so that many new keys at once are one change. */
const settleMs = 20;

/**
 * Flags from any OpenFeature provider: `<operation>` and `<operation>.shadow` as boolean flags, with the
 * routing key as `targetingKey` and as `routingKey`. Evaluating is asynchronous there and answering is
 * not here: a key that was never seen is served by legacy until the provider has answered, usually within
 * milliseconds. Answers are asked for again when the provider's configuration changes, and by age; one
 * that could not be renewed within `staleMs` is legacy again. OpenFeature knows no percentages and no
 * writes: `state()` is null, and there is no `control`.
 *
 * Throws `FLAGS_INVALID_OPTIONS`. `ready()` rejects with `FLAGS_PACKAGE_MISSING` only.
 */
export function openFeatureFlags(options: OpenFeatureFlagsOptions): FlagSource {
  return new OpenFeatureFlags(options);
}

class OpenFeatureFlags implements FlagSource {
  readonly kind = "openfeature";
  readonly control = null;
  readonly #options: OpenFeatureFlagsOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #refreshMs: number;
  readonly #staleMs: number;
  readonly #remembered: LRUCache<string, Remembered>;
  readonly #waiting: Remembered[] = [];
  readonly #stop = new AbortController();
  #running = 0;
  #client: Client | null = null;
  #sdk: OpenFeatureSdk | null = null;
  #ready: Promise<void> | null = null;
  #tick: Timer | null = null;
  #settling: Timer | null = null;
  #revision = 0;
  #generation = 0;
  #confirmed: { readonly atMs: number; readonly monotonicMs: number } | null = null;
  #trouble: string | null = null;

  constructor(options: OpenFeatureFlagsOptions) {
    if ((options.client === undefined) === (options.provider === undefined)) {
      throw new CodedError(
        "FLAGS_INVALID_OPTIONS",
        "OpenFeature flags need either the option client or the option provider.",
        { status: 400 },
      );
    }
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#refreshMs = options.refreshMs ?? 5000;
    this.#staleMs = options.staleMs ?? 30_000;
    this.#remembered = new LRUCache({ max: options.cachedMax ?? 20_000 });
  }

  revision(): number {
    return this.#revision;
  }

  freshness(monotonicMs: number = this.#clock.monotonicMs()): FlagFreshness {
    if (this.#confirmed === null) return { state: "never", lastRefreshMs: null };
    const stale = monotonicMs - this.#confirmed.monotonicMs > this.#staleMs;
    return { state: stale ? "stale" : "fresh", lastRefreshMs: this.#confirmed.atMs };
  }

  answer(operation: string, key: string): FlagAnswer {
    if (this.#client === null) return off;
    const name = `${operation}\n${key}`;
    let entry = this.#remembered.get(name);
    if (entry === undefined) {
      entry = { operation, key, answer: off, toldMs: null, generation: 0, asked: false };
      this.#remembered.set(name, entry);
    }
    const ageMs = this.#ageMs(entry);
    if (ageMs > this.#refreshMs || entry.generation !== this.#generation) this.#ask(entry);
    return ageMs > this.#staleMs ? off : entry.answer;
  }

  state(): null {
    return null;
  }

  problems(): readonly FlagProblem[] {
    return this.#trouble === null ? [] : [{ subject: "openfeature", message: this.#trouble }];
  }

  ready(): Promise<void> {
    this.#ready ??= this.#start();
    return this.#ready;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#tick?.cancel();
    this.#settling?.cancel();
    this.#client = null;
    this.#waiting.length = 0;
    if (this.#sdk === null) return;
    // What was registered is closed by being replaced.
    const { OpenFeature, NOOP_PROVIDER } = this.#sdk;
    await OpenFeature.setProviderAndWait(this.#domain, NOOP_PROVIDER);
  }

  get #domain(): string {
    return this.#options.domain ?? "changeover";
  }

  async #start(): Promise<void> {
    const { client, provider, readyMs = 2000 } = this.#options;
    const made = client ?? (await this.#register(provider as Provider, readyMs));
    if (this.#stop.signal.aborted) return;
    const { signal } = this.#stop;
    const listen = (event: string, on: () => void): void => {
      made.addHandler(event as Parameters<Client["addHandler"]>[0], on, { signal });
    };
    listen("PROVIDER_READY", () => this.#onConfirmed());
    listen("PROVIDER_CONFIGURATION_CHANGED", () => {
      this.#generation += 1;
      this.#onConfirmed();
      this.#revision += 1;
    });
    listen("PROVIDER_ERROR", () => this.#onTrouble("says that it has failed"));
    listen("PROVIDER_STALE", () => this.#onTrouble("says that its flags are old"));
    this.#client = made;
    this.#look();
    this.#revision += 1;
    this.#tick = this.#clock.every(this.#refreshMs, () => {
      this.#look();
      // So that whoever caches answers asks again, and old ones are renewed.
      this.#revision += 1;
    });
  }

  async #register(provider: Provider, readyMs: number): Promise<Client> {
    const sdk = await loadOpenFeature();
    this.#sdk = sdk;
    const { promise: waited, resolve } = Promise.withResolvers<void>();
    const timer = this.#clock.after(readyMs, resolve, true);
    const set = sdk.OpenFeature.setProviderAndWait(this.#domain, provider).catch(() =>
      this.#onTrouble("could not be started"),
    );
    await Promise.race([set, waited]);
    timer.cancel();
    return sdk.OpenFeature.getClient(this.#domain);
  }

  /** A provider that says it is ready has confirmed its flags. */
  #look(): void {
    if (this.#client?.providerStatus === "READY") this.#onConfirmed();
  }

  #onConfirmed(): void {
    this.#confirmed = { atMs: this.#clock.now(), monotonicMs: this.#clock.monotonicMs() };
    this.#trouble = null;
  }

  #onTrouble(what: string): void {
    const message = `The OpenFeature provider ${what}: answers stay as they were, and are legacy after ${this.#staleMs} ms.`;
    if (message !== this.#trouble) this.#logger.warn({ domain: this.#domain }, message);
    this.#trouble = message;
  }

  #ageMs({ toldMs }: Remembered): number {
    return toldMs === null ? Number.POSITIVE_INFINITY : this.#clock.monotonicMs() - toldMs;
  }

  #ask(entry: Remembered): void {
    if (entry.asked) return;
    const { concurrency = 64, waitingMax = 1000 } = this.#options;
    if (this.#running < concurrency) void this.#evaluate(entry);
    else if (this.#waiting.length < waitingMax) this.#waiting.push(entry);
    else return;
    entry.asked = true;
  }

  async #evaluate(entry: Remembered): Promise<void> {
    this.#running += 1;
    const generation = this.#generation;
    const before = this.#ageMs(entry) > this.#staleMs ? off : entry.answer;
    const told = await this.#withinTime(this.#tell(entry));
    this.#running -= 1;
    entry.asked = false;
    const next = this.#waiting.shift();
    if (next !== undefined) void this.#evaluate(next);
    if (told === null || this.#client === null) return;
    entry.answer = told;
    entry.toldMs = this.#clock.monotonicMs();
    entry.generation = generation;
    const same = told.candidate === before.candidate && told.shadow === before.shadow;
    if (!same) this.#growSoon();
  }

  async #tell({ operation, key }: Remembered): Promise<FlagAnswer | null> {
    const [candidate, shadow] = await Promise.all([
      this.#isOn(operation, key),
      this.#isOn(shadowFlagOf(operation), key),
    ]);
    return candidate === null || shadow === null ? null : { candidate, shadow };
  }

  /** Null: the provider could not say. A flag that does not exist is off. */
  async #isOn(flag: string, key: string): Promise<boolean | null> {
    const context = { targetingKey: key, [routingKeyProperty]: key };
    const details = await this.#client?.getBooleanDetails(flag, false, context);
    if (details === undefined) return null;
    if (details.errorCode === undefined) return details.value;
    if (details.errorCode === "FLAG_NOT_FOUND") return false;
    this.#onTrouble(`cannot judge "${flag}" (${details.errorCode})`);
    return null;
  }

  async #withinTime(work: Promise<FlagAnswer | null>): Promise<FlagAnswer | null> {
    const { promise: late, resolve } = Promise.withResolvers<null>();
    const timer = this.#clock.after(this.#options.evaluateMs ?? 1000, () => {
      this.#onTrouble("does not answer in time");
      resolve(null);
    });
    try {
      return await Promise.race([work, late]);
    } catch (error) {
      this.#onTrouble(`throws (${codeOf(error) ?? "no code"})`);
      return null;
    } finally {
      timer.cancel();
    }
  }

  #growSoon(): void {
    this.#settling ??= this.#clock.after(settleMs, () => {
      this.#settling = null;
      this.#revision += 1;
    });
  }
}

async function loadOpenFeature(): Promise<OpenFeatureSdk> {
  try {
    return await import("@openfeature/server-sdk");
  } catch (error) {
    if (codeOf(error) !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new CodedError(
      "FLAGS_PACKAGE_MISSING",
      "An OpenFeature provider needs the OpenFeature SDK: npm install @openfeature/server-sdk @openfeature/core",
      { cause: error },
    );
  }
}
