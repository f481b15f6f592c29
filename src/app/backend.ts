import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { backendUnavailable } from "../files/errors.ts";
import type { FileManager } from "../files/file-manager.ts";

/** Where the file system's parts are. */
export interface Backend {
  readonly supabase: { readonly url: string; readonly secretKey: string; readonly bucket: string };
  /** Null when the provider is not set up; its uploads are then refused. */
  readonly kimi: ProviderAccess | null;
  readonly glm: ProviderAccess | null;
}

/** An AI provider's address and key. */
export interface ProviderAccess {
  readonly baseUrl: string;
  readonly apiKey: string;
}

/** How often the backend is asked whether it is there, and how long it may take, in milliseconds. */
const probeEveryMs = 2000;
const probeTimeoutMs = 2000;

/** Asks the backend for one row now and then, so that readiness tells the truth. */
export class BackendProbe {
  readonly #backend: Backend;
  readonly #logger: Logger;
  #timer: Timer | null = null;
  #problem: string | null = "the backend has not been asked yet";
  #asking: Promise<void> | null = null;

  constructor(backend: Backend, logger: Logger) {
    this.#backend = backend;
    this.#logger = logger;
  }

  /** Why the backend cannot be used right now, or null. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Asks once, then every 2 s. Resolves after the first answer; never rejects. */
  async start(clock: Clock): Promise<void> {
    await this.#ask();
    this.#timer = clock.every(probeEveryMs, () => void this.#ask());
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#asking;
  }

  #ask(): Promise<void> {
    this.#asking ??= this.#askNow().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #askNow(): Promise<void> {
    const { url, secretKey } = this.#backend.supabase;
    const before = this.#problem;
    try {
      const response = await fetch(`${url}/rest/v1/files?select=id&limit=1`, {
        headers: { apikey: secretKey, authorization: `Bearer ${secretKey}` },
        signal: AbortSignal.timeout(probeTimeoutMs),
      });
      await response.body?.cancel();
      this.#problem = response.ok ? null : `the backend answered ${response.status}`;
    } catch (error) {
      this.#problem = `the backend cannot be reached (${(error as Error).name})`;
    }
    if (before === this.#problem) return;
    if (this.#problem !== null)
      this.#logger.warn({ problem: this.#problem }, "Backend is not usable");
    else this.#logger.info({}, "Backend is usable");
  }
}

/** Stands where no backend was given: commands that only touch flags and latches need none. */
export function noFileManager(): FileManager {
  const refuse = (): Promise<never> =>
    Promise.reject(
      backendUnavailable({
        during: "looking for the backend",
        reason: "none is set up in this process",
        effect: "absent",
      }),
    );
  return {
    upload: refuse,
    download: refuse,
    info: refuse,
    list: refuse,
    delete: refuse,
    close: () => Promise.resolve(),
  };
}
