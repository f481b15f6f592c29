import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/**
 * What a server of flags does to its callers. `down`: every connection is cut. `500`: it answers that.
 * `hangs`: it never answers. `refuses`: 401 for every token. `read-only`: 500 for every write.
 * `database-down`: clients are answered from memory, and the Admin API hangs, as the real one does.
 */
export type UnleashTrouble = "down" | "500" | "hangs" | "refuses" | "read-only" | "database-down";

/** Stands between instances and a real Unleash. */
export class UnleashProxy {
  trouble: UnleashTrouble | null = null;
  readonly #server: Server;
  readonly #target: string;
  readonly #sockets = new Set<Socket>();

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  static async to(target: string): Promise<UnleashProxy> {
    const proxy = new UnleashProxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.trouble = "down";
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET" } = request;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (this.trouble === "down") return void request.socket.destroy();
    if (this.trouble === "hangs") return;
    if (this.trouble === "database-down" && request.url?.startsWith("/api/admin")) return;
    if (this.trouble === "refuses") return void response.writeHead(401).end("{}");
    const failing = this.trouble === "500" || (this.trouble === "read-only" && method !== "GET");
    if (failing) return void response.writeHead(500).end('{"name":"UnknownError"}');
    try {
      const headers = Object.entries(request.headers).flatMap(([name, value]) =>
        ["host", "connection", "content-length", "accept-encoding"].includes(name)
          ? []
          : [[name, String(value)] as [string, string]],
      );
      const passed = await fetch(`${this.#target}${request.url}`, {
        method,
        headers,
        body: method === "GET" ? null : Buffer.concat(chunks),
      });
      const body = Buffer.from(await passed.arrayBuffer());
      const kept = ["content-type", "etag"].flatMap((name) => {
        const value = passed.headers.get(name);
        return value === null ? [] : [[name, value] as const];
      });
      response.writeHead(passed.status, Object.fromEntries(kept)).end(body);
    } catch {
      request.socket.destroy();
    }
  }
}
