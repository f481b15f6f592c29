import { connect, type Socket } from "node:net";

/** A plain TCP client that writes what it is told and keeps everything it receives. */
export class RawClient {
  readonly socket: Socket;
  #received = "";
  readonly #ended: Promise<void>;
  #wake: () => void = () => undefined;

  constructor(port: number, host = "127.0.0.1") {
    this.socket = connect(port, host);
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text: string) => {
      this.#received += text;
      this.#wake();
    });
    // A reset is an end like another here; what arrived before it counts.
    this.socket.on("error", () => undefined);
    this.#ended = new Promise((resolve) => this.socket.once("close", () => resolve()));
  }

  get received(): string {
    return this.#received;
  }

  /** Resolves when the bytes were handed over, or cannot be any more. */
  write(bytes: string | Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) resolve();
      else this.socket.write(bytes, () => resolve());
    });
  }

  /** Waits until the text has been received; rejects when the connection ends without it. */
  async until(text: string): Promise<void> {
    while (!this.#received.includes(text)) {
      const more = new Promise<true>((resolve) => {
        this.#wake = () => resolve(true);
      });
      const went = await Promise.race([more, this.#ended.then(() => false)]);
      if (!went && !this.#received.includes(text)) {
        throw new Error(`The connection ended without ${JSON.stringify(text)}: ${this.#received}`);
      }
    }
  }

  /** Waits until the server has closed the connection and returns everything received. */
  async all(): Promise<string> {
    await this.#ended;
    return this.#received;
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** Sends one request as it is written and returns the whole answer. */
export async function sendRaw(port: number, request: string | Buffer): Promise<string> {
  const client = new RawClient(port);
  await client.write(request);
  return client.all();
}
