import { type Clock, systemClock, type Timer } from "../../../base/clock.ts";
import { codeOf, isCodedError } from "../../../base/errors.ts";
import { type Logger, silentLogger } from "../../../base/logger.ts";
import { type Random, systemRandom } from "../../../base/random.ts";
import type { Progress } from "../../file-manager.ts";
import { RetryBudget, type RetryBudgetOptions } from "../../retry/retry-budget.ts";
import { isRetryable, type RetryPolicy } from "../../retry/retry-policy.ts";
import { retrying } from "../../retry/retrying.ts";
import { withinPrediction } from "../../retry/upload-limit.ts";
import { predictDuration } from "../../selection/duration.ts";
import { defaultHealthLimits, type Health, type HealthLimits } from "../health/health.ts";
import { HealthWatch } from "../health/health-watch.ts";
import { nextThroughput, noThroughput } from "../health/throughput.ts";
import type { ProviderProfile } from "../profiles.ts";
import type {
  Provider,
  ProviderContent,
  ProviderFile,
  ProviderPage,
  ProviderPageRequest,
  ProviderUpload,
} from "../provider.ts";
import { Gate, type Lane } from "./gate.ts";
import type { ProviderStatus } from "./provider-status.ts";
import { QuotaBook, type QuotaUse } from "./quota.ts";
import { type KnownFiles, SentOnce } from "./sent-once.ts";

/** How often a provider may be called. */
export interface ProviderLimits {
  /** Uploads at once; default 8. */
  readonly uploads?: number;
  /** Other requests at once; default 4. */
  readonly requests?: number;
  /** Requests in a second. Default: none of ours, because a provider's depends on the account; its 429 is heeded. */
  readonly requestsPerSecond?: number;
  /** Uploads, and other requests, that may wait; default 1,000 each. Beyond it they fail with `FILES_BUSY`. */
  readonly waitingMax?: number;
  /** How long one waits at most, in milliseconds; default 600,000. */
  readonly waitMs?: number;
  /** The first pause after a 429 that names none, in milliseconds; default 1,000. It doubles each time. */
  readonly basePauseMs?: number;
  /** The longest pause, in milliseconds; default 60,000. */
  readonly maxPauseMs?: number;
}

/** What makes a provider steady; everything has a default. */
export interface SteadyOptions {
  /** The provider's documented limits; without them no quota is counted. */
  readonly profile?: ProviderProfile;
  readonly limits?: ProviderLimits;
  readonly retry?: Partial<RetryPolicy>;
  readonly retryBudget?: RetryBudgetOptions;
  readonly quota?: {
    /** How long a count of the account's files is good for, in milliseconds; default 60,000. */
    readonly ttlMs?: number;
    /** Where the account has a lower limit than the documented one. */
    readonly maxFiles?: number;
    readonly maxTotalBytes?: number;
  };
  readonly health?: Partial<HealthLimits> & {
    /** How long what is known of the health is good for, in milliseconds; default 30,000. */
    readonly ttlMs?: number;
  };
  /** How far the provider's clock may be from ours, in milliseconds; default 120,000. */
  readonly clockSkewMs?: number;
  /**
   * End uploads that take far longer than predicted and stand still; default true. Not where a limit of
   * our own holds bytes back: that would look like standing still.
   */
  readonly predictTotals?: boolean;
  /** Tells of provider files that our own tables know: they are never taken for a lost upload. */
  readonly known?: KnownFiles;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

/**
 * A provider that is called with care: limits before bytes move, one queue that a 429 slows for
 * everybody, retries within a budget, and no file sent twice because its reply was lost. Throws what
 * the provider throws, and `FILES_BUSY` and `FILES_PROVIDER_QUOTA` without having sent anything.
 */
export class SteadyProvider implements Provider {
  readonly name: Provider["name"];
  readonly #provider: Provider;
  readonly #options: SteadyOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #gate: Gate;
  readonly #budget: RetryBudget;
  readonly #once: SentOnce;
  readonly #quota: QuotaBook | null;
  readonly #health: HealthWatch;
  #throughput = noThroughput;
  #retries = 0;
  #watching: Timer | undefined;

  constructor(provider: Provider, options: SteadyOptions = {}) {
    const { clock = systemClock, random = systemRandom, logger = silentLogger } = options;
    this.name = provider.name;
    this.#provider = provider;
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#logger = logger;
    this.#gate = gateOf(provider.name, options.limits ?? {}, clock, random);
    this.#budget = new RetryBudget(clock, options.retryBudget);
    this.#once = new SentOnce({
      provider: {
        name: provider.name,
        list: (purpose, signal) =>
          this.#through("requests", signal, () => provider.list(purpose, signal)),
      },
      clock,
      logger,
      clockSkewMs: options.clockSkewMs ?? 120_000,
      known: options.known ?? null,
    });
    this.#quota = this.#quotaOf(options);
    const { ttlMs = 30_000, ...limits } = options.health ?? {};
    this.#health = new HealthWatch({
      // Not through the gate: whether a provider answers must also be known while it is paused.
      probe: (signal) => provider.probe(signal),
      clock,
      limits: { ...defaultHealthLimits, ...limits },
      ttlMs,
    });
  }

  /** Everything that is known about the provider right now; asks nobody. */
  get status(): ProviderStatus {
    return {
      provider: this.name,
      health: this.#health.current,
      throughput: this.#throughput,
      queue: this.#gate.state,
      quotas: this.#quota?.uses ?? [],
      retries: { made: this.#retries, left: Math.floor(this.#budget.left) },
      lostReplies: this.#once.lostReplies,
    };
  }

  /** The quota that files of this purpose count against, if it was counted. */
  quota(purpose: string): QuotaUse | null {
    return this.#quota?.use(purpose) ?? null;
  }

  /** How the provider is, asked anew when that is not known well enough. Rejects only when aborted. */
  checkHealth(signal: AbortSignal): Promise<Health> {
    return this.#health.check(signal);
  }

  /** Asks for the health now, and again whenever `everyMs` (default 60,000) have passed, until closed. */
  watch(everyMs = 60_000): void {
    const check = (): void => {
      // Rejects only for a signal that aborts, and this one never does.
      void this.#health.check(new AbortController().signal);
    };
    this.#watching?.cancel();
    this.#watching = this.#clock.every(everyMs, check);
    check();
  }

  async upload(
    upload: ProviderUpload,
    signal: AbortSignal,
    progress?: Progress,
  ): Promise<ProviderFile> {
    const { purpose, source } = upload;
    const place = await this.#quota?.take(purpose, source.sizeBytes, signal);
    const told = progress === undefined ? undefined : forwardOnly(progress);
    try {
      const file = await this.#once.run({
        upload,
        signal,
        send: (sent) => this.#send(sent, signal, told),
        repeat: (attempt) => this.#retrying(signal, attempt),
      });
      place?.keep();
      told?.(source.sizeBytes);
      return file;
    } finally {
      place?.release();
    }
  }

  info(id: string, purpose: string, signal: AbortSignal): Promise<ProviderFile | null> {
    return this.#request(signal, () => this.#provider.info(id, purpose, signal));
  }

  list(purpose: string, signal: AbortSignal): Promise<readonly ProviderFile[]> {
    return this.#request(signal, () => this.#provider.list(purpose, signal));
  }

  page(request: ProviderPageRequest, signal: AbortSignal): Promise<ProviderPage> {
    return this.#request(signal, () => this.#provider.page(request, signal));
  }

  counted(purpose: string, signal: AbortSignal): Promise<readonly ProviderFile[]> {
    return this.#request(signal, () => this.#provider.counted(purpose, signal));
  }

  /** Retried until the answer begins; a body that breaks off later is its reader's matter. */
  content(id: string, signal: AbortSignal): Promise<ProviderContent> {
    return this.#request(signal, () => this.#provider.content(id, signal));
  }

  probe(signal: AbortSignal): Promise<void> {
    return this.#provider.probe(signal);
  }

  remove(id: string, signal: AbortSignal): Promise<void> {
    return this.#request(signal, () => this.#provider.remove(id, signal));
  }

  close(): Promise<void> {
    this.#watching?.cancel();
    return this.#provider.close();
  }

  /** One attempt to send, measured. */
  #send(
    upload: ProviderUpload,
    signal: AbortSignal,
    progress: Progress | undefined,
  ): Promise<ProviderFile> {
    return this.#through("uploads", signal, async () => {
      const startedMs = this.#clock.monotonicMs();
      const file = await this.#sendInTime(upload, signal, progress);
      const ms = this.#clock.monotonicMs() - startedMs;
      const bytes = upload.source.sizeBytes;
      this.#throughput = nextThroughput(this.#throughput, { bytes, ms });
      return file;
    });
  }

  #sendInTime(
    upload: ProviderUpload,
    signal: AbortSignal,
    progress: Progress | undefined,
  ): Promise<ProviderFile> {
    if (this.#options.predictTotals === false) {
      return this.#provider.upload(upload, signal, progress);
    }
    const { totalMs, idleMs } = predictDuration({
      provider: this.name,
      // What will be asked about the file is not known here.
      complexity: "moderate",
      sizeBytes: upload.source.sizeBytes,
      throughput: this.#throughput,
    });
    const limit = { provider: this.name, clock: this.#clock, totalMs, idleMs };
    return withinPrediction(limit, signal, (each, moved) =>
      this.#provider.upload(upload, each, (sentBytes) => {
        moved(sentBytes);
        progress?.(sentBytes);
      }),
    );
  }

  #request<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.#retrying(signal, () => this.#through("requests", signal, work));
  }

  #retrying<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return retrying(work, {
      clock: this.#clock,
      random: this.#random,
      signal,
      budget: this.#budget,
      ...(this.#options.retry === undefined ? {} : { policy: this.#options.retry }),
      // Our own queue is full: waiting in it once more would only make it longer.
      isTransient: (error) => isRetryable(error) && codeOf(error) !== "FILES_BUSY",
      onRetry: ({ attempt, delayMs, error }) => {
        this.#retries += 1;
        const wait = Math.round(delayMs);
        this.#logger.info(
          { provider: this.name, attempt, delayMs: wait, code: codeOf(error) },
          "A request to a provider is tried again",
        );
      },
    });
  }

  /** Waits for its turn; what comes of it tells about the provider's pace and health. */
  #through<T>(lane: Lane, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.#gate.run(lane, signal, async () => {
      const startedMs = this.#clock.monotonicMs();
      try {
        const result = await work();
        this.#gate.succeeded();
        const ms = this.#clock.monotonicMs() - startedMs;
        this.#health.answered(lane === "uploads" ? null : ms);
        return result;
      } catch (error) {
        if (isCodedError(error) && error.code === "FILES_PROVIDER_THROTTLED") {
          this.#gate.throttled(error.retryAfterSeconds);
        }
        this.#health.failed(error);
        throw error;
      }
    });
  }

  #quotaOf({ profile, quota = {} }: SteadyOptions): QuotaBook | null {
    if (profile === undefined) return null;
    return new QuotaBook({
      profile,
      provider: this,
      clock: this.#clock,
      ttlMs: quota.ttlMs ?? 60_000,
      maxFiles: quota.maxFiles ?? null,
      maxTotalBytes: quota.maxTotalBytes ?? null,
      onUncounted: (error) =>
        this.#logger.warn(
          { provider: this.name, err: error },
          "A provider's files could not be counted; uploads go on, and its own limits decide",
        ),
    });
  }
}

function gateOf(
  provider: Provider["name"],
  limits: ProviderLimits,
  clock: Clock,
  random: Random,
): Gate {
  const { uploads = 8, requests = 4, requestsPerSecond = null } = limits;
  const { waitingMax = 1000, waitMs = 600_000 } = limits;
  const { basePauseMs = 1000, maxPauseMs = 60_000 } = limits;
  const pace = { basePauseMs, maxPauseMs };
  const options = { provider, uploads, requests, requestsPerSecond, waitingMax, waitMs, pace };
  return new Gate(options, clock, random);
}

/** A second attempt begins at the first byte again; whoever watches is only told of what is new. */
function forwardOnly(progress: Progress): Progress {
  let most = 0;
  return (sentBytes) => {
    if (sentBytes <= most) return;
    most = sentBytes;
    progress(sentBytes);
  };
}
