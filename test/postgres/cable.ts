import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** What the cable does with what comes in. */
export type CableState = "whole" | "hung" | "cut";

/** The cable between an instance and Postgres: a proxy that can be cut, hang, or swallow notifications. */
export class Cable {
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #state: CableState = "whole";
  /** As a pooler in transaction mode does. Holds for connections made from now on. */
  swallowsNotifications = false;

  private constructor(url: string, server: Server) {
    const { hostname, port } = new URL(url);
    this.#target = { host: hostname, port: Number(port) };
    this.#server = server;
  }

  static async to(url: string): Promise<Cable> {
    const server = createServer();
    const cable = new Cable(url, server);
    server.on("connection", (socket) => cable.#join(socket));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return cable;
  }

  /** The same database, through the cable. */
  through(url: string): string {
    const changed = new URL(url);
    changed.hostname = "127.0.0.1";
    changed.port = String((this.#server.address() as AddressInfo).port);
    return changed.href;
  }

  /** `cut` ends every connection and refuses new ones; `hung` keeps all open and moves nothing. */
  set state(state: CableState) {
    this.#state = state;
    for (const pair of this.#pairs) this.#apply(pair);
  }

  async close(): Promise<void> {
    this.state = "cut";
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(near: Socket): void {
    const far = connect(this.#target);
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("error", () => undefined);
      from.once("close", () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
    }
    const filter = this.swallowsNotifications ? withoutNotifications() : null;
    near.on("data", (chunk) => far.write(chunk));
    far.on("data", (chunk) => near.write(filter === null ? chunk : filter(chunk)));
    this.#apply(pair);
  }

  #apply(pair: readonly [Socket, Socket]): void {
    for (const socket of pair) {
      if (this.#state === "cut") socket.destroy();
      else if (this.#state === "hung") socket.pause();
      else socket.resume();
    }
  }
}

/** Messages of the server are a letter and a length; `A` is a notification. */
function withoutNotifications(): (chunk: Buffer) => Buffer {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    const passed: Buffer[] = [];
    while (rest.length >= 5 && rest.length >= 1 + rest.readUInt32BE(1)) {
      const size = 1 + rest.readUInt32BE(1);
      if (rest[0] !== "A".charCodeAt(0)) passed.push(rest.subarray(0, size));
      rest = rest.subarray(size);
    }
    return Buffer.concat(passed);
  };
}
