import type { IncomingMessage } from "node:http";
import type { Clock, Timer } from "../../base/clock.ts";
import { bodyIdle } from "../errors.ts";

/**
 * Watches a body without touching it: its signal aborts with `GATEWAY_BODY_IDLE` when no byte came
 * for the limit although somebody was waiting for one.
 */
export class BodyWatch {
  readonly signal: AbortSignal;
  readonly #timer: Timer;

  constructor(request: IncomingMessage, clock: Clock, idleMs: number) {
    const controller = new AbortController();
    this.signal = controller.signal;
    let seenBytes = request.socket.bytesRead;
    let sinceMs = clock.monotonicMs();
    this.#timer = clock.every(Math.max(1, idleMs / 10), () => {
      const { bytesRead } = request.socket;
      // Bytes that lie here unread mean that we are slow, not the client.
      if (bytesRead !== seenBytes || request.readableLength > 0 || request.complete) {
        seenBytes = bytesRead;
        sinceMs = clock.monotonicMs();
      } else if (clock.monotonicMs() - sinceMs >= idleMs) {
        this.stop();
        controller.abort(bodyIdle(idleMs));
      }
    });
  }

  stop(): void {
    this.#timer.cancel();
  }
}
