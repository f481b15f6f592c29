import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type StartedBackend, serveParent } from "../../src/sandbox/child/child-side.ts";
import { portOf, startCountingServer } from "../network/measure-network.ts";

/**
 * A server that reads and forgets: it speaks as much of the storage API as an upload needs and keeps
 * nothing, so that what is measured is the client. In a process of its own.
 */
export interface SinkReady {
  /** Takes POST and PUT of objects, and resumable uploads (tus 1.0.0). */
  readonly url: string;
  /** Raw TCP, see `startCountingServer`. */
  readonly rawPort: number;
}

serveParent<Record<string, never>, SinkReady>(async (): Promise<StartedBackend<SinkReady>> => {
  const raw = await startCountingServer();
  const sink = new Sink();
  const server = createServer(
    { keepAliveTimeout: 30_000, requestTimeout: 0 },
    (request, response) => sink.serve(request, response),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    ready: {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      rawPort: portOf(raw),
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      raw.close();
    },
  };
});

/** Counts what arrives. */
class Sink {
  #received = 0;
  #uploads = 0;
  readonly #offsets = new Map<string, number>();

  serve(request: IncomingMessage, response: ServerResponse): void {
    const { method = "GET", url = "/" } = request;
    request.on("error", () => undefined);
    if (url === "/received") {
      answer(response, 200, { bytes: this.#received });
      this.#received = 0;
    } else if (url.startsWith("/storage/v1/upload/resumable")) this.#resumable(request, response);
    else if (method === "POST" || method === "PUT") {
      this.#count(request, () => answer(response, 200, { Key: url, Id: "0" }));
    } else answer(response, 404, { message: "This server only takes." });
  }

  #resumable(request: IncomingMessage, response: ServerResponse): void {
    const { method, url = "" } = request;
    response.setHeader("Tus-Resumable", "1.0.0");
    if (method === "POST") {
      this.#uploads += 1;
      const path = `/storage/v1/upload/resumable/${this.#uploads}`;
      this.#offsets.set(path, 0);
      response.writeHead(201, { Location: path }).end();
      request.resume();
      return;
    }
    this.#count(request, (bytes) => {
      const offset = (this.#offsets.get(url) ?? 0) + bytes;
      this.#offsets.set(url, offset);
      response.writeHead(204, { "Upload-Offset": String(offset) }).end();
    });
  }

  #count(request: IncomingMessage, then: (bytes: number) => void): void {
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.once("end", () => {
      this.#received += bytes;
      then(bytes);
    });
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
    })
    .end(text);
}
