import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { CodedError, codeOf } from "../base/errors.ts";

/** A port on 127.0.0.1 that nobody else gets until it is let go, for a server that is started later. */
export class KeptPort {
  readonly number: number;
  readonly #server: Server;

  private constructor(server: Server, number: number) {
    this.#server = server;
    this.number = number;
  }

  /**
   * Takes `wanted`, or when that is 0 the port that `file` remembers from the last run while it is
   * free, so that bookmarks and settings stay valid, else any free one. Connections are cut meanwhile.
   * Rejects with `SANDBOX_PORT_UNAVAILABLE`.
   */
  static async keep(wanted: number, file: string): Promise<KeptPort> {
    const kept = await KeptPort.#first(wanted === 0 ? [rememberedIn(file), 0] : [wanted]);
    rememberPort(file, kept.number);
    return kept;
  }

  static async #first([port = 0, ...others]: readonly number[]): Promise<KeptPort> {
    const server = createServer((socket) => socket.destroy());
    try {
      return new KeptPort(server, await listen(server, port));
    } catch (error) {
      if (others.length === 0) throw portUnavailable(port, codeOf(error) ?? "");
      return KeptPort.#first(others);
    }
  }

  /** Frees the port for the server that it was kept for. */
  letGo(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}

/** The port in a file of ours; 0 when there is none. */
export function rememberedIn(file: string): number {
  const port = existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
  return Number.isInteger(port) && port > 1023 && port < 65_536 ? port : 0;
}

/** Remembers a port for the next run. */
export function rememberPort(file: string, port: number): void {
  writeFileSync(file, String(port));
}

/** Somebody else has the port, or nobody may have it. */
export function portUnavailable(port: number, why: string): CodedError {
  return new CodedError(
    "SANDBOX_PORT_UNAVAILABLE",
    `Port ${port} on 127.0.0.1 cannot be used (${why}). Choose another, or 0 for any free one.`,
    { details: { port } },
  );
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}
