/** @import { FeedMessage } from "../feed-state.ts" */
import { after, monotonicMs, wait } from "./clock.js";

/** A feed that is silent for so long is taken for dead; the server sends once a second. */
const silenceMs = 6000;
const firstWaitMs = 500;
const lastWaitMs = 4000;
/** Characters of one message at most. */
const messageMax = 16 * 2 ** 20;

/**
 * @typedef {object} ConnectionOptions
 * @property {() => string | null} token
 * @property {(message: FeedMessage) => void} onMessage
 * @property {() => void} onOpen a new feed begins: its first message has everything
 * @property {(refusal: { status: number, message: string }) => void} onRefused by the server, in words
 */

/** Keeps the page connected to the server's feed, through restarts and losses, until the page goes. */
export class Connection {
  /** When the last message came, in monotonic milliseconds; null for never. @type {number | null} */
  heardMs = null;
  /** When the next attempt is made; null while connected. @type {number | null} */
  retryMs = null;
  /** @type {ConnectionOptions} */
  #options;
  #current = new AbortController();
  #restarted = false;

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** Connects again at once, as after the token has changed. */
  restart() {
    this.#restarted = true;
    this.#current.abort();
  }

  /** Never ends. */
  async run() {
    let delayMs = firstWaitMs;
    for (;;) {
      const before = this.heardMs;
      this.#current = new AbortController();
      this.#restarted = false;
      await this.#listen(this.#current);
      if (this.#restarted) continue;
      delayMs = this.heardMs === before ? Math.min(delayMs * 2, lastWaitMs) : firstWaitMs;
      this.retryMs = monotonicMs() + delayMs;
      await Promise.race([wait(delayMs), aborted(this.#current.signal)]);
      this.retryMs = null;
    }
  }

  /** Reads one feed to its end. @param {AbortController} current */
  async #listen(current) {
    const { token, onOpen, onRefused } = this.#options;
    const key = token();
    try {
      const response = await fetch("/console/events", {
        headers: key === null ? {} : { authorization: `Bearer ${key}` },
        cache: "no-store",
        signal: current.signal,
      });
      if (!response.ok || response.body === null) {
        const body = await response.json().catch(() => null);
        onRefused({ status: response.status, message: body?.error?.message ?? "" });
        return;
      }
      onOpen();
      await this.#read(response.body, current);
    } catch {
      // The server is gone, or is too slow: the next attempt tells.
    }
  }

  /**
   * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
   * @param {AbortController} current
   */
  async #read(body, current) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const stop = after(silenceMs, () => current.abort());
      const { done, value } = await reader.read().finally(stop);
      if (done) return;
      text += value;
      if (text.length > messageMax) throw new Error("A message of the feed is too long.");
      const parts = text.split("\n\n");
      text = parts.pop() ?? "";
      for (const part of parts) this.#take(part);
    }
  }

  /** @param {string} part */
  #take(part) {
    if (!part.startsWith("data: ")) return;
    this.heardMs = monotonicMs();
    this.#options.onMessage(JSON.parse(part.slice(6)));
  }
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function aborted(signal) {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
