import pRetry, { AbortError } from "p-retry";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { type Notice, type NoticeFormat, noticeBody, noticeSignature } from "./notice.ts";

/** Where notices go. */
export interface WebhookOptions {
  readonly url: string;
  /** Signs every body when given. */
  readonly secret: string | null;
  readonly format: NoticeFormat;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds for one try; default 5,000. */
  readonly tryMs?: number;
  /** Tries after the first; default 5, with pauses of 0.5 s that double. */
  readonly retries?: number;
  /** The first pause in milliseconds; default 500. */
  readonly pauseMs?: number;
}

/** Notices that wait at most; beyond it the oldest is dropped, and that is logged. */
const waitingMax = 100;

/**
 * Sends notices to one address, one after the other, without anybody waiting for it. Headers:
 * `x-changeover-delivery` (the notice's id), and with a secret `x-changeover-timestamp` and
 * `x-changeover-signature: sha256=<hex>`. An answer of 2xx is the end; 408, 429 and 5xx, and no answer,
 * are tried again; any other answer is given up at once. The address is never logged: it may be a secret.
 */
export class Webhook {
  readonly #options: WebhookOptions;
  readonly #waiting: Notice[] = [];
  readonly #stop = new AbortController();
  #sending: Promise<void> | null = null;
  #delivered = 0;
  #failed = 0;

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  /** How many notices were taken by the receiver, and how many were given up or dropped. */
  get counts(): { readonly delivered: number; readonly failed: number } {
    return { delivered: this.#delivered, failed: this.#failed };
  }

  /** Takes a notice; returns at once. */
  send(notice: Notice): void {
    if (this.#stop.signal.aborted) return;
    this.#waiting.push(notice);
    if (this.#waiting.length > waitingMax) {
      const dropped = this.#waiting.shift();
      this.#failed += 1;
      this.#options.logger.error(
        { notice: dropped?.title },
        "Too many notices wait; one is dropped",
      );
    }
    this.#sending ??= this.#drain().finally(() => {
      this.#sending = null;
    });
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    await this.#sending;
  }

  /** Gives what waits two seconds, then gives up. Never rejects. */
  async close(): Promise<void> {
    const timer = this.#options.clock.after(2000, () => this.#stop.abort());
    await this.#sending;
    timer.cancel();
    this.#stop.abort();
  }

  async #drain(): Promise<void> {
    for (let notice = this.#waiting.shift(); notice !== undefined; notice = this.#waiting.shift()) {
      await this.#deliver(notice);
    }
  }

  async #deliver(notice: Notice): Promise<void> {
    const { logger, retries = 5, pauseMs = 500 } = this.#options;
    try {
      await pRetry(() => this.#try(notice), {
        retries,
        minTimeout: pauseMs,
        factor: 2,
        randomize: true,
        signal: this.#stop.signal,
      });
      this.#delivered += 1;
    } catch (error) {
      this.#failed += 1;
      const why = error instanceof NotTaken ? error.message : (error as Error).name;
      logger.error({ notice: notice.title, why }, "A notice could not be delivered");
    }
  }

  async #try(notice: Notice): Promise<void> {
    const { url, secret, format, clock, tryMs = 5000 } = this.#options;
    const body = noticeBody(notice, format);
    const timestamp = String(Math.floor(clock.now() / 1000));
    const signed =
      secret === null
        ? {}
        : {
            "x-changeover-timestamp": timestamp,
            "x-changeover-signature": `sha256=${noticeSignature(secret, timestamp, body)}`,
          };
    const headers = {
      "content-type": "application/json",
      "x-changeover-delivery": notice.id,
      ...signed,
    };
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(tryMs)]);
    // A redirect could carry the notice, and the secret of its address, to somebody else.
    const answer = await fetch(url, {
      method: "POST",
      headers,
      body,
      signal,
      redirect: "error",
    }).catch((error: unknown) => {
      throw new NotTaken(`no answer (${(error as Error).name})`);
    });
    await answer.body?.cancel();
    if (answer.ok) return;
    const refused = new NotTaken(`it answered ${answer.status}`);
    const passing = answer.status >= 500 || answer.status === 429 || answer.status === 408;
    throw passing ? refused : new AbortError(refused);
  }
}

class NotTaken extends Error {}
