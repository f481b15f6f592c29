import { buildConnector } from "undici";
import type { Clock, Timer } from "../../../base/clock.ts";

type Connect = ReturnType<typeof buildConnector>;
type ConnectOptions = Parameters<Connect>[0];
type Connected = Parameters<Connect>[1];
type Answer = readonly [null, Socket] | readonly [Error, null];
type Socket = NonNullable<Parameters<Connected>[1]>;

/** How {@link SpareSockets} connects. */
export interface SpareSocketsOptions {
  readonly clock: Clock;
  /** Connections at most, spare or in use: as many as the pool that takes them has. */
  readonly max: number;
  /** Milliseconds to connect. */
  readonly connectMs: number;
  /** Whether HTTP/2 may be agreed on. */
  readonly allowH2: boolean;
  /** Milliseconds a spare connection is kept; default 3,000. Servers close idle ones after some seconds. */
  readonly keepMs?: number;
}

/** A connection on its way, or open and not yet taken. */
interface Spare {
  readonly connected: Promise<Answer>;
  readonly expiry: Timer;
}

const KEEP_MS = 3000;

/**
 * Connections that are opened before they are needed, for a pool of undici to take: setting one up
 * (TCP and TLS) costs as much time as two answers, which passes while a file is still being hashed.
 * Nothing is sent on them. One that cannot be opened is no error: whoever needs it tries anew.
 */
export class SpareSockets {
  readonly #options: SpareSocketsOptions;
  readonly #origin: URL;
  readonly #connect: Connect;
  readonly #spares: Spare[] = [];
  readonly #sockets = new Set<Socket>();
  #connecting = 0;
  #isClosed = false;

  constructor(origin: URL, options: SpareSocketsOptions) {
    this.#origin = origin;
    this.#options = options;
    const { connectMs: timeout, allowH2 } = options;
    this.#connect = buildConnector({ timeout, allowH2 });
  }

  /** What a pool connects with: takes a spare connection, or opens one. */
  readonly connector: Connect = (options, done) => {
    const spare = this.#spares.shift();
    if (spare === undefined) {
      void this.#open(options).then((answer) => tell(done, answer));
      return;
    }
    spare.expiry.cancel();
    void spare.connected.then(async (answer) => {
      const [, socket] = answer;
      const isUsable = socket !== null && !socket.destroyed && socket.readable;
      socket?.ref();
      tell(done, isUsable ? answer : await this.#open(options));
    });
  };

  /** Sees to it that so many connections, as far as the pool may have them, are there or on their way. */
  want(count: number): void {
    const wanted = this.#isClosed ? 0 : Math.min(count, this.#options.max);
    for (let has = this.#sockets.size + this.#connecting; has < wanted; has += 1) this.#add();
  }

  /** Closes the spare connections; those that were taken belong to the pool. */
  close(): void {
    this.#isClosed = true;
    for (const spare of this.#spares.splice(0)) discard(spare);
  }

  #add(): void {
    const { hostname, host, protocol, port } = this.#origin;
    const { clock, keepMs = KEEP_MS } = this.#options;
    const expiry = clock.after(keepMs, () => {
      const index = this.#spares.indexOf(spare);
      if (index >= 0) discard(...this.#spares.splice(index, 1));
    });
    // An address of IPv6 stands in brackets in a URL and without them everywhere else.
    const name = hostname.replace(/^\[(.*)\]$/, "$1");
    const connected = this.#open({ hostname: name, host, protocol, port });
    // Nobody waits for it: it may not keep the process alive.
    void connected.then(([, socket]) => socket?.unref());
    const spare: Spare = { connected, expiry };
    this.#spares.push(spare);
  }

  #open(options: ConnectOptions): Promise<Answer> {
    this.#connecting += 1;
    return new Promise((resolve) => {
      this.#connect(options, (...[error, socket]) => {
        this.#connecting -= 1;
        if (socket === null || socket === undefined) {
          resolve([error ?? new Error("There is no connection."), null]);
          return;
        }
        this.#sockets.add(socket);
        // A connection that breaks before it is taken has nobody else to hear of it.
        socket.on("error", ignore);
        socket.once("close", () => this.#sockets.delete(socket));
        resolve([null, socket]);
      });
    });
  }
}

function tell(done: Connected, [error, socket]: Answer): void {
  if (socket === null) done(error, null);
  else done(null, socket);
}

function discard(...spares: readonly Spare[]): void {
  for (const { connected, expiry } of spares) {
    expiry.cancel();
    void connected.then(([, socket]) => socket?.destroy());
  }
}

function ignore(): void {}
