import { type Clock, systemClock, type Timer } from "../../base/clock.ts";
import { codeOf } from "../../base/errors.ts";
import { type Logger, silentLogger } from "../../base/logger.ts";
import { type Random, systemRandom } from "../../base/random.ts";
import type {
  FlagAnswer,
  FlagFreshness,
  FlagProblem,
  FlagSource,
  FlagState,
} from "../../migration/flags.ts";
import { migrationOf } from "../../migration/operation.ts";
import { bucketOf } from "../bucket.ts";
import { routingKeyProperty, shadowFlagOf } from "../features.ts";
import {
  parseUnleashAddress,
  requireBetween,
  requireText,
  type UnleashAddress,
} from "./address.ts";
import {
  dependenciesHold,
  type FeatureVerdict,
  judgeFeature,
  type UnleashFeature,
} from "./feature-verdict.ts";
import { loadSdk } from "./sdk.ts";
import { candidateVariant } from "./share.ts";
import { UnleashControl } from "./unleash-control.ts";

type Sdk = InstanceType<Awaited<ReturnType<typeof loadSdk>>["Unleash"]>;

/** Which Unleash server, and how closely it is followed. */
export interface UnleashFlagsOptions {
  /** The server's address, with or without `/api`. */
  readonly url: string;
  /** A backend token; it also decides which environment and projects are seen. */
  readonly token: string;
  /** What the server calls this application. */
  readonly appName: string;
  /** The context property that carries the routing key, and that strategies must be sticky by; default `routingKey`. */
  readonly routingKey?: string;
  /** Pause between two looks at the server in milliseconds, 100 to 60,000; default 1,000. */
  readonly refreshMs?: number;
  /** After how many milliseconds without a successful look flags count as stale; default 30,000. */
  readonly staleMs?: number;
  /** Longest that one request may take in milliseconds, 1,000 to 60,000 (the SDK fails below); default 2,000. */
  readonly timeoutMs?: number;
  /** Longest that `ready()` waits for the first look, in milliseconds; default 2,000. */
  readonly readyMs?: number;
  /** Longest pause in milliseconds before a server that refused the token is asked again; default 15,000. */
  readonly retryMaxMs?: number;
  /** The environment that `admin` writes to; default `development`. */
  readonly environment?: string;
  /** Access to the Admin API, for the write side; without it the flags can only be read. */
  readonly admin?: {
    /** A personal access token (role Editor is enough) or an admin token. */
    readonly token: string;
    /** Default `default`. */
    readonly project?: string;
  };
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Chance for the pauses between tries. */
  readonly random?: Random;
}

/** Features whose names were asked for and are looked after; more are answered, but not listed. */
const watchedMax = 1000;
const off: FlagAnswer = { candidate: false, shadow: false };

/**
 * Flags of an Unleash server, judged in this process by its SDK: an operation's flag bears its name, its
 * shadow's is `<operation>.shadow`, and `<migration>` is the kill switch of both. Until the server has
 * answered once, everything is legacy. A server that cannot be reached, or refuses the token, leaves the
 * flags as they were until they are stale; it is asked again for ever, and `problems()` says so. A flag
 * that does not give a key the same answer each time is refused: legacy for every key, and a problem.
 *
 * Throws `FLAGS_INVALID_OPTIONS`. `ready()` rejects with `FLAGS_PACKAGE_MISSING` only: a server that is
 * down is waited for, but no longer than `readyMs`.
 */
export function unleashFlags(options: UnleashFlagsOptions): FlagSource {
  return new UnleashFlags(options);
}

class UnleashFlags implements FlagSource {
  readonly kind = "unleash";
  readonly control: UnleashControl | null;
  readonly #options: UnleashFlagsOptions;
  readonly #address: UnleashAddress;
  readonly #routingKey: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #random: Random;
  readonly #refreshMs: number;
  readonly #staleMs: number;
  readonly #timeoutMs: number;
  readonly #silenceMs: number;
  readonly #watched = new Set<string>();
  readonly #verdicts = new Map<string, FeatureVerdict | null>();
  #sdk: Sdk | null = null;
  #ready: Promise<void> | null = null;
  #timer: Timer | null = null;
  #closed = false;
  #revision = 0;
  #fresh: FlagFreshness = { state: "never", lastRefreshMs: null };
  #refreshedMonotonicMs = 0;
  #heardMonotonicMs = 0;
  #trouble: string | null = null;
  #refusals = 0;
  #retryAtMs: number | null = null;

  constructor(options: UnleashFlagsOptions) {
    this.#options = options;
    this.#address = parseUnleashAddress(options.url);
    requireText("token", options.token);
    requireText("appName", options.appName);
    this.#routingKey = requireText("routingKey", options.routingKey ?? routingKeyProperty);
    this.#refreshMs = requireBetween("refreshMs", options.refreshMs ?? 1000, 100, 60_000);
    this.#staleMs = requireBetween("staleMs", options.staleMs ?? 30_000, 100, 86_400_000);
    this.#timeoutMs = requireBetween("timeoutMs", options.timeoutMs ?? 2000, 1000, 60_000);
    // The SDK's longest pause is eleven intervals; a look is three tries with pauses of 1 and 2 s.
    this.#silenceMs = 11 * this.#refreshMs + 3 * this.#timeoutMs + 10_000;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#random = options.random ?? systemRandom;
    this.control = options.admin === undefined ? null : this.#makeControl(options.admin);
  }

  revision(): number {
    return this.#revision;
  }

  freshness(monotonicMs: number = this.#clock.monotonicMs()): FlagFreshness {
    const ageMs = monotonicMs - this.#refreshedMonotonicMs;
    // Asked for every call: the usual answer is one object until the next look.
    if (this.#fresh.lastRefreshMs === null || ageMs <= this.#staleMs) return this.#fresh;
    return { state: "stale", lastRefreshMs: this.#fresh.lastRefreshMs };
  }

  answer(operation: string, key: string): FlagAnswer {
    const sdk = this.#sdk;
    if (sdk === null || this.#fresh.lastRefreshMs === null) return off;
    const candidate = this.#isOn(sdk, operation, operation, key);
    const shadow = this.#isOn(sdk, shadowFlagOf(operation), operation, key);
    return { candidate, shadow };
  }

  bucket(operation: string, key: string): number | null {
    const groupId = this.#feature(operation)?.strategies?.[0]?.parameters?.["groupId"];
    return typeof groupId === "string" ? bucketOf(groupId, key) : null;
  }

  state(operation: string): FlagState | null {
    const feature = this.#feature(operation);
    if (feature === undefined) return null;
    const verdict = this.#verdict(operation);
    const shadow = this.#feature(shadowFlagOf(operation));
    const shadowOn = shadow !== undefined && this.#enabled(shadow, operation);
    const refused = verdict?.problem ?? null;
    return {
      operation,
      enabled: this.#enabled(feature, operation),
      percentage: verdict?.percentage ?? 0,
      shadowPercentage: shadowOn ? (this.#verdict(shadow.name)?.percentage ?? 0) : 0,
      origin: refused === null ? `Unleash at ${this.#address.host}` : `refused: ${refused}`,
    };
  }

  problems(): readonly FlagProblem[] {
    const found: FlagProblem[] = [];
    if (this.#trouble !== null) found.push({ subject: "unleash", message: this.#trouble });
    for (const name of this.#watched) {
      const problem = this.#verdict(name)?.problem ?? null;
      if (problem === null) continue;
      found.push({
        subject: name,
        message: `Flag refused, every key stays on legacy: ${problem}.`,
      });
    }
    return found;
  }

  ready(): Promise<void> {
    this.#ready ??= this.#start();
    return this.#ready;
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    const sdk = this.#sdk;
    this.#sdk = null;
    if (sdk !== null) {
      sdk.destroy();
      // `destroy` removes the SDK's own listeners; a look that then fails would end the process.
      internals(sdk).repository?.on?.("error", () => undefined);
    }
    return Promise.resolve();
  }

  async #start(): Promise<void> {
    const { Unleash, InMemStorageProvider } = await loadSdk();
    if (this.#closed) return;
    const sdk = new Unleash({
      appName: this.#options.appName,
      environment: this.#options.environment ?? "development",
      url: this.#address.client,
      customHeaders: { Authorization: this.#options.token },
      refreshInterval: this.#refreshMs,
      timeout: this.#timeoutMs,
      // Answers are cached for each revision, so that the SDK's counts would mean nothing.
      disableMetrics: true,
      disableAutoStart: true,
      skipInstanceCountWarning: true,
      // The default is a file in the temporary folder, shared and old, that passes for a server's answer.
      storageProvider: new InMemStorageProvider(),
    });
    sdk.on("changed", () => this.#onContact(true));
    sdk.on("unchanged", () => this.#onContact(false));
    sdk.on("error", (error: unknown) => this.#onTrouble(error));
    sdk.on("warn", (message: unknown) => this.#onTrouble(message));
    // The SDK answers only after its own `ready`, one tick behind the first features.
    sdk.on("ready", () => {
      this.#revision += 1;
    });
    this.#sdk = sdk;
    this.#heardMonotonicMs = this.#clock.monotonicMs();
    this.#timer = this.#clock.every(this.#refreshMs, () => this.#watch());
    const { promise: waited, resolve } = Promise.withResolvers<void>();
    const timer = this.#clock.after(this.#options.readyMs ?? 2000, resolve, true);
    const looked = sdk.start().catch((error: unknown) => this.#onTrouble(error));
    await Promise.race([looked, waited]);
    timer.cancel();
    // One turn more, for the SDK's own `ready`.
    await new Promise<void>((done) => setImmediate(done));
  }

  #onContact(changed: boolean): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#trouble !== null)
      this.#logger.info({ host: this.#address.host }, "Unleash answers again");
    this.#fresh = { state: "fresh", lastRefreshMs: this.#clock.now() };
    this.#refreshedMonotonicMs = nowMs;
    this.#heardMonotonicMs = nowMs;
    this.#trouble = null;
    this.#refusals = 0;
    this.#retryAtMs = null;
    if (!changed) return;
    this.#verdicts.clear();
    this.#revision += 1;
  }

  #onTrouble(what: unknown): void {
    const nowMs = this.#clock.monotonicMs();
    this.#heardMonotonicMs = nowMs;
    const status = statusIn(what);
    const refused = status === 401 || status === 403;
    const message = refused
      ? `Unleash at ${this.#address.host} refuses the token (${status}): flags stay as they were, and are stale after ${this.#staleMs} ms. Give it a backend token of the right environment.`
      : `Unleash at ${this.#address.host} cannot be read (${status ?? describe(what)}); it is tried again.`;
    if (message !== this.#trouble) this.#logger.warn({ status, host: this.#address.host }, message);
    this.#trouble = message;
    if (!refused) return;
    // After one of these the SDK never asks again.
    const longestMs = this.#options.retryMaxMs ?? 15_000;
    const pauseMs = Math.min(this.#refreshMs * 2 ** Math.min(this.#refusals, 10), longestMs);
    this.#refusals += 1;
    this.#retryAtMs = nowMs + pauseMs * (0.5 + this.#random.next() / 2);
  }

  /** Starts the SDK's polling again where it has stopped. */
  #watch(): void {
    const nowMs = this.#clock.monotonicMs();
    const due =
      this.#retryAtMs === null
        ? nowMs - this.#heardMonotonicMs > this.#silenceMs
        : nowMs >= this.#retryAtMs;
    if (!due || this.#sdk === null) return;
    this.#retryAtMs = null;
    this.#heardMonotonicMs = nowMs;
    const look = internals(this.#sdk).repository?.fetch?.();
    look?.catch((error: unknown) => this.#onTrouble(error));
  }

  #isOn(sdk: Sdk, name: string, operation: string, key: string): boolean {
    const verdict = this.#verdict(name);
    if (verdict === null || verdict.problem !== null || verdict.percentage === 0) return false;
    if (!this.#killSwitchOn(operation)) return false;
    const context = { properties: { [this.#routingKey]: key } };
    if (!verdict.byVariant) return sdk.isEnabled(name, context, false);
    const variant = sdk.getVariant(name, context);
    return variant.name === candidateVariant && variant.enabled;
  }

  #feature(name: string): UnleashFeature | undefined {
    if (this.#fresh.lastRefreshMs === null) return undefined;
    return this.#sdk?.getFeatureToggleDefinition(name) as UnleashFeature | undefined;
  }

  /** A flag named after the migration is its kill switch, also where nobody declared it as a parent. */
  #killSwitchOn(operation: string): boolean {
    return this.#feature(migrationOf(operation))?.enabled ?? true;
  }

  #enabled(feature: UnleashFeature, operation: string): boolean {
    if (!feature.enabled || !this.#killSwitchOn(operation)) return false;
    return dependenciesHold(feature, (name) => this.#feature(name));
  }

  /** Null for a feature that does not exist. */
  #verdict(name: string): FeatureVerdict | null {
    const known = this.#verdicts.get(name);
    if (known !== undefined) return known;
    if (this.#watched.size < watchedMax) this.#watched.add(name);
    const feature = this.#feature(name);
    const verdict = feature === undefined ? null : judgeFeature(feature, this.#routingKey);
    if (this.#fresh.lastRefreshMs === null || !this.#watched.has(name)) return verdict;
    this.#verdicts.set(name, verdict);
    if (verdict?.problem)
      this.#logger.warn({ flag: name, problem: verdict.problem }, "Flag refused");
    return verdict;
  }

  #makeControl(admin: NonNullable<UnleashFlagsOptions["admin"]>): UnleashControl {
    const { url, environment, clock, logger, random } = this.#options;
    return new UnleashControl({
      url,
      ...admin,
      routingKey: this.#routingKey,
      ...(environment === undefined ? {} : { environment }),
      ...(clock === undefined ? {} : { clock }),
      ...(logger === undefined ? {} : { logger }),
      ...(random === undefined ? {} : { random }),
    });
  }
}

/** What the SDK does not declare, and its two worst traps need. */
interface SdkInternals {
  readonly repository?: {
    fetch?(): Promise<void>;
    on?(event: "error", listener: () => void): unknown;
  };
}

const internals = (sdk: Sdk): SdkInternals => sdk as unknown as SdkInternals;

/** The HTTP status that the SDK's errors and warnings only tell in words. */
function statusIn(what: unknown): number | null {
  const text = typeof what === "string" ? what : ((what as Error | null)?.message ?? "");
  const found = /(?:responded|but was|\()\s*(\d{3})\b/.exec(text);
  return found === null ? null : Number(found[1]);
}

/** A code such as ECONNREFUSED; never the message, which may quote a request. */
function describe(what: unknown): string {
  const error = what as { type?: unknown; name?: unknown } | null | undefined;
  if (typeof what === "string") return "no answer";
  return codeOf(error) ?? (typeof error?.type === "string" ? error.type : String(error?.name));
}
