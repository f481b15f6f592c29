import type { IncomingMessage } from "node:http";
import { Busboy, type BusboyInstance } from "@fastify/busboy";
import type { Spool, StagedFile } from "../../files/spool.ts";
import { bodyTooLarge, invalidMultipart, invalidRequest, unsupportedBody } from "../errors.ts";
import type { GatewayLimits } from "../gateway-limits.ts";

/** A form that was received: its file is staged and belongs to the caller, who releases it. */
export interface ReceivedForm {
  readonly file: StagedFile | null;
  readonly fileName: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** How a form is received. */
export interface FormOptions {
  readonly spool: Pick<Spool, "stage">;
  readonly maxFileBytes: number;
  readonly limits: GatewayLimits;
  /** Ends the receiving with its reason. */
  readonly signal: AbortSignal;
}

/**
 * Receives a multipart form with one file part named `file` and plain fields in any order; the file
 * goes to the spool as it comes. When it throws, nothing is staged any more. The request is left
 * paused and unbroken, so that it can still be answered.
 */
export function receiveForm(request: IncomingMessage, options: FormOptions): Promise<ReceivedForm> {
  return new FormReceiver(request, options).receive();
}

class FormReceiver {
  readonly #request: IncomingMessage;
  readonly #options: FormOptions;
  readonly #parser: BusboyInstance;
  readonly #fields = new Map<string, string>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #stopStaging = new AbortController();
  #staging: Promise<StagedFile> | null = null;
  #fileName = "";
  #receivedBytes = 0;

  constructor(request: IncomingMessage, options: FormOptions) {
    this.#request = request;
    this.#options = options;
    this.#parser = newParser(request, options.limits);
  }

  async receive(): Promise<ReceivedForm> {
    const { signal } = this.#options;
    const onAbort = (): void => this.#ended.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      this.#listen();
      await this.#ended.promise;
      const file = await this.#staging;
      return { file, fileName: this.#fileName, fields: this.#fields };
    } catch (error) {
      await this.#discard(error);
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #listen(): void {
    const { limits } = this.#options;
    const refuse = (error: Error): void => this.#ended.reject(error);
    this.#parser
      .on("file", (name, body, fileName) => this.#onFile(name, body, fileName))
      .on("field", (name, value, _nameCut, valueCut) => this.#onField(name, value, valueCut))
      .on("filesLimit", () => refuse(invalidRequest("file", "The form has more than one file.")))
      .on("fieldsLimit", () => refuse(tooManyFields(limits.fieldsMax)))
      .on("partsLimit", () => refuse(tooManyFields(limits.fieldsMax)))
      .on("error", (cause) => refuse(invalidMultipart(reasonOf(cause), cause)))
      .on("finish", () => this.#ended.resolve());
    this.#request.on("data", this.#onData);
    this.#request.once("close", this.#onClose);
    this.#request.pipe(this.#parser);
  }

  /** The file has a limit of its own; this one is for what surrounds it. */
  readonly #onData = (chunk: Buffer): void => {
    this.#receivedBytes += chunk.length;
    const { maxFileBytes, limits } = this.#options;
    const limitBytes = maxFileBytes + limits.formOverheadBytes;
    if (this.#receivedBytes > limitBytes) this.#ended.reject(bodyTooLarge("The form", limitBytes));
  };

  readonly #onClose = (): void => {
    const { complete } = this.#request;
    if (!complete) this.#ended.reject(invalidMultipart("it broke off"));
  };

  #onFile(name: string | undefined, body: NodeJS.ReadableStream, fileName: string): void {
    // The parser reports on this stream by hand; without a listener that would end the process.
    body.on("error", () => undefined);
    if (name !== "file") {
      this.#ended.reject(invalidRequest(name ?? "file", 'A file must be sent as the part "file".'));
      return;
    }
    this.#fileName = decodedName(fileName ?? "");
    const { spool, maxFileBytes } = this.#options;
    this.#staging = spool.stage(body as AsyncIterable<Uint8Array>, {
      maxBytes: maxFileBytes,
      signal: this.#stopStaging.signal,
    });
    this.#staging.catch((error: unknown) => this.#ended.reject(error));
  }

  #onField(name: string | undefined, value: string, valueCut: boolean): void {
    if (name === undefined) {
      this.#ended.reject(invalidMultipart("a part has no name"));
    } else if (name === "file") {
      this.#ended.reject(invalidRequest("file", "The part `file` has no filename: it is no file."));
    } else if (valueCut) {
      const { fieldBytes } = this.#options.limits;
      this.#ended.reject(invalidRequest(name, `\`${name}\` is longer than ${fieldBytes} bytes.`));
    } else if (this.#fields.has(name)) {
      this.#ended.reject(invalidRequest(name, `\`${name}\` was sent twice. Send it once.`));
    } else {
      this.#fields.set(name, value);
    }
  }

  async #discard(reason: unknown): Promise<void> {
    this.#request.unpipe(this.#parser);
    this.#request.off("data", this.#onData);
    this.#request.off("close", this.#onClose);
    this.#request.pause();
    this.#stopStaging.abort(reason);
    const staged = await this.#staging?.catch(() => null);
    await staged?.release();
  }
}

function newParser(request: IncomingMessage, limits: GatewayLimits): BusboyInstance {
  const contentType = request.headers["content-type"] ?? "";
  const accepted = "multipart/form-data with a `file` part and a `purpose` field";
  if (!/^multipart\/form-data\s*;/i.test(contentType)) {
    throw unsupportedBody(
      `An upload cannot be ${JSON.stringify(contentType.slice(0, 80))}.`,
      accepted,
    );
  }
  try {
    return new Busboy({
      headers: { ...request.headers, "content-type": contentType },
      limits: {
        files: 1,
        fields: limits.fieldsMax,
        parts: limits.fieldsMax + 2,
        fieldSize: limits.fieldBytes,
        headerPairs: 20,
        headerSize: 16 * 1024,
      },
    });
  } catch (cause) {
    throw invalidMultipart(reasonOf(cause), cause);
  }
}

function tooManyFields(fieldsMax: number): Error {
  return invalidRequest("form", `The form has more than ${fieldsMax} parts.`);
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message.replace(/\.$/, "") : "it is broken";
}

/** Undoes how forms write quotes and line breaks in a name (HTML standard, multipart/form-data encoding). */
function decodedName(name: string): string {
  const encoded: Readonly<Record<string, string>> = { "%22": '"', "%0D": "\r", "%0A": "\n" };
  return name.replace(/%22|%0D|%0A/gi, (code) => encoded[code.toUpperCase()] ?? code);
}
