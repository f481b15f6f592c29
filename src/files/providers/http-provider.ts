import { Readable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { type CodedError, isCodedError } from "../../base/errors.ts";
import { integrity, notFound } from "../errors.ts";
import type { Progress } from "../file-manager.ts";
import { type ProviderFailure, providerRejected, providerUnavailable } from "../provider-errors.ts";
import {
  cleaned,
  confirmsDeletion,
  type FileAnswer,
  type PageAnswer,
  readErrorAnswer,
  readFileAnswer,
  readPageAnswer,
  retryAfterOf,
} from "./answer.ts";
import type { Dialect } from "./dialect.ts";
import { errorFor, meaningOf } from "./error-table.ts";
import type {
  Provider,
  ProviderContent,
  ProviderFile,
  ProviderPage,
  ProviderPageRequest,
  ProviderUpload,
} from "./provider.ts";
import {
  boundedText,
  type OpenAnswer,
  type Transport,
  type TransportAnswer,
  TransportError,
  type TransportRequest,
  transportError,
} from "./transport.ts";

/** What an {@link HttpProvider} is made of. */
export interface HttpProviderParts {
  readonly dialect: Dialect;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Only to strike it out of whatever the provider says. */
  readonly apiKey: string;
  /** Milliseconds an upload may take in all. */
  readonly uploadMs: number;
  /** Milliseconds any other request may take in all. */
  readonly requestMs: number;
}

/** Bytes of an answer at most. */
const MAX_ANSWER_BYTES = 2 ** 20;
/** Bytes of a page of a list at most: Kimi answers all of its up to 1000 files at once. */
const MAX_PAGE_BYTES = 4 * 2 ** 20;
/** Pages of a list at most: at 100 files a page far more than any account may hold. */
const MAX_PAGES = 50;
/** Bytes of a file's content at most; no file of either provider is larger. */
const MAX_CONTENT_BYTES = 2 ** 30;

/**
 * The file API of Kimi or GLM: one client, told the differences by a {@link Dialect}, over any
 * {@link Transport}. One call is one attempt; the caller decides on retries by `retryable` and, for an
 * upload, by `details.effect`.
 */
export class HttpProvider implements Provider {
  readonly name: Dialect["provider"];
  readonly #parts: HttpProviderParts;

  constructor(parts: HttpProviderParts) {
    this.name = parts.dialect.provider;
    this.#parts = parts;
  }

  async upload(
    upload: ProviderUpload,
    signal: AbortSignal,
    progress?: Progress,
  ): Promise<ProviderFile> {
    const { source, name, mimeType, purpose } = upload;
    const during = "uploading a file";
    const form = { fields: { purpose }, fileField: "file", fileName: name, mimeType, source };
    const answer = await this.#send(
      { method: "POST", path: "/files", form, progress },
      { during, signal },
    );
    const stored = readFileAnswer(this.#expectOk(answer, during), purpose);
    if (stored === undefined) throw this.#nonsense(during, answer);
    const fault = this.#faultOf(stored, upload, answer);
    if (fault === undefined) return stored.file;
    // What is wrong must not stay behind; whether it could be removed changes nothing for the caller.
    await this.remove(stored.file.id, signal).catch(() => undefined);
    throw fault;
  }

  async info(id: string, purpose: string, signal: AbortSignal): Promise<ProviderFile | null> {
    if (!isId(id)) return null;
    if (!this.#parts.dialect.hasGetById) {
      for await (const page of this.#pages(purpose, signal)) {
        const file = page.files.find((each) => each.id === id);
        if (file !== undefined) return file;
      }
      return null;
    }
    const during = "looking up a file";
    const answer = await this.#send({ method: "GET", path: pathOf(id) }, { during, signal });
    if (answer.status === 404) return null;
    const found = readFileAnswer(this.#expectOk(answer, during), purpose);
    if (found === undefined) throw this.#nonsense(during, answer);
    return found.file;
  }

  async list(purpose: string, signal: AbortSignal): Promise<readonly ProviderFile[]> {
    const files: ProviderFile[] = [];
    for await (const page of this.#pages(purpose, signal)) files.push(...page.files);
    return files;
  }

  async page(request: ProviderPageRequest, signal: AbortSignal): Promise<ProviderPage> {
    const { purpose, limit = 100, after } = request;
    if (after !== undefined && !isId(after)) throw notFound(after);
    const { dialect } = this.#parts;
    const page = await this.#page(request, signal);
    const wanted = this.#ofPurpose(page.files, purpose);
    if (dialect.listsByPurpose) return { files: wanted, hasMore: page.hasMore };
    const start = after === undefined ? 0 : wanted.findIndex(({ id }) => id === after) + 1;
    if (after !== undefined && start === 0) throw notFound(after);
    return { files: wanted.slice(start, start + limit), hasMore: wanted.length > start + limit };
  }

  async counted(purpose: string, signal: AbortSignal): Promise<readonly ProviderFile[]> {
    const { listsByPurpose } = this.#parts.dialect;
    if (listsByPurpose) return this.list(purpose, signal);
    return (await this.#page({ purpose }, signal)).files;
  }

  async content(id: string, signal: AbortSignal): Promise<ProviderContent> {
    if (!isId(id)) throw notFound(id);
    const kind = this.#parts.dialect.contentKind ?? (await this.#contentKind(id, signal));
    const during = "reading a file's content";
    const answer = await this.#open(`${pathOf(id)}/content`, { during, signal });
    if (answer.status === 404) {
      answer.body.destroy();
      throw notFound(id);
    }
    if (answer.status < 200 || answer.status >= 300) {
      const body = await boundedText(answer.body, MAX_ANSWER_BYTES).catch(() => "");
      this.#expectOk({ ...answer, body }, during);
    }
    return { kind, body: this.#checkedBody(answer, { during, signal }) };
  }

  async probe(signal: AbortSignal): Promise<void> {
    const during = "asking whether it is there";
    const path = `/files${this.#parts.dialect.probeQuery}`;
    const answer = await this.#send({ method: "GET", path }, { during, signal });
    if (readPageAnswer(this.#expectOk(answer, during), "") === undefined) {
      throw this.#nonsense(during, answer);
    }
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    if (!isId(id)) return;
    const during = "removing a file";
    const answer = await this.#send({ method: "DELETE", path: pathOf(id) }, { during, signal });
    if (answer.status === 404) return;
    if (!confirmsDeletion(this.#expectOk(answer, during))) throw this.#nonsense(during, answer);
  }

  close(): Promise<void> {
    return this.#parts.transport.close();
  }

  async *#pages(purpose: string, signal: AbortSignal): AsyncGenerator<PageAnswer, void, void> {
    const seen = new Set<string>();
    let after: string | undefined;
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const page = await this.#page({ purpose, ...(after === undefined ? {} : { after }) }, signal);
      yield { ...page, files: this.#ofPurpose(page.files, purpose) };
      after = page.files.at(-1)?.id;
      if (!page.hasMore || after === undefined) return;
      // A page that leads back to itself would never end.
      if (seen.has(after)) throw this.#endless("leads back to itself");
      seen.add(after);
    }
    throw this.#endless(`did not end after ${MAX_PAGES} pages`);
  }

  async #page(request: ProviderPageRequest, signal: AbortSignal): Promise<PageAnswer> {
    const during = "listing files";
    const path = `/files${this.#parts.dialect.listQuery(request)}`;
    const answer = await this.#send({ method: "GET", path }, { during, signal });
    const page = readPageAnswer(this.#expectOk(answer, during), request.purpose);
    if (page === undefined) throw this.#nonsense(during, answer);
    return page;
  }

  #ofPurpose(files: readonly ProviderFile[], purpose: string): readonly ProviderFile[] {
    if (this.#parts.dialect.listsByPurpose) return files;
    return files.filter((file) => file.purpose === purpose);
  }

  #endless(how: string): CodedError {
    const reason = `its list ${how}`;
    return providerUnavailable({
      provider: this.name,
      during: "listing files",
      reason,
      effect: "absent",
    });
  }

  /** Kimi gives extracted text or bytes, and only the file's purpose tells which. */
  async #contentKind(id: string, signal: AbortSignal): Promise<ProviderContent["kind"]> {
    const file = await this.info(id, "", signal);
    if (file === null) throw notFound(id);
    return file.purpose === "file-extract" ? "extracted-text" : "bytes";
  }

  /** The time limit ends with the answer's headers: how long the body takes is its reader's matter. */
  async #open(path: string, { during, signal }: Attempt): Promise<OpenAnswer> {
    const { clock, transport, requestMs } = this.#parts;
    const late = new AbortController();
    const timer = clock.after(requestMs, () => late.abort(tooLate(requestMs)));
    try {
      const within = AbortSignal.any([signal, late.signal]);
      const answer = await transport.open({ method: "GET", path, signal: within });
      // A body that is thrown away unread ends with an error that nobody is there to hear.
      answer.body.on("error", () => undefined);
      return answer;
    } catch (thrown) {
      signal.throwIfAborted();
      throw this.#unanswered(during, thrown);
    } finally {
      timer.cancel();
    }
  }

  #checkedBody({ body }: OpenAnswer, attempt: Attempt): Readable {
    const checked = Readable.from(this.#chunks(body, attempt), { objectMode: false });
    // Also when nobody has begun to read: the connection is held until the body is gone.
    return checked.once("close", () => body.destroy());
  }

  async *#chunks(
    body: Readable,
    { during, signal }: Attempt,
  ): AsyncGenerator<Uint8Array, void, void> {
    let bytes = 0;
    try {
      for await (const chunk of body) {
        bytes += (chunk as Uint8Array).length;
        if (bytes > MAX_CONTENT_BYTES) {
          throw new TransportError(`it has more than ${MAX_CONTENT_BYTES} bytes`, true);
        }
        yield chunk as Uint8Array;
      }
    } catch (thrown) {
      signal.throwIfAborted();
      throw this.#unanswered(during, transportError(thrown));
    }
  }

  /** One attempt within its time limit; every failure becomes a coded error or the caller's reason. */
  async #send(
    request: Pick<TransportRequest, "method" | "path" | "form" | "progress">,
    { during, signal }: Attempt,
  ): Promise<TransportAnswer> {
    const { clock, transport, uploadMs, requestMs } = this.#parts;
    const limitMs = request.form === undefined ? requestMs : uploadMs;
    const late = new AbortController();
    const timer = clock.after(limitMs, () => late.abort(tooLate(limitMs)));
    try {
      const listing = request.method === "GET" && !request.path.startsWith("/files/");
      const maxAnswerBytes = listing ? MAX_PAGE_BYTES : MAX_ANSWER_BYTES;
      const within = AbortSignal.any([signal, late.signal]);
      return await transport.send({ ...request, maxAnswerBytes, signal: within });
    } catch (thrown) {
      signal.throwIfAborted();
      if (isCodedError(thrown)) throw thrown;
      throw this.#unanswered(during, thrown);
    } finally {
      timer.cancel();
    }
  }

  #unanswered(during: string, thrown: unknown): CodedError {
    const known = thrown instanceof TransportError;
    return providerUnavailable({
      provider: this.name,
      during,
      reason: known ? thrown.message : "the request failed",
      effect: known && !thrown.sent ? "absent" : "possible",
      cause: thrown,
    });
  }

  #expectOk(answer: TransportAnswer, during: string): string {
    if (answer.status >= 200 && answer.status < 300) return answer.body;
    const { apiKey, clock, dialect } = this.#parts;
    const said = readErrorAnswer(answer, apiKey);
    const parts = [`HTTP ${said.status}`, said.code, said.message].filter((part) => part !== "");
    const failure: ProviderFailure = {
      ...this.#failure(during, parts.join(", "), answer),
      ...(said.code === "" ? {} : { providerCode: said.code }),
      retryAfterSeconds: retryAfterOf(answer.headers, clock.now()),
    };
    throw errorFor(meaningOf(dialect.errors, said), failure, during === "uploading a file");
  }

  #nonsense(during: string, answer: TransportAnswer): CodedError {
    const reason = `HTTP ${answer.status} with a body that is not what its documentation says`;
    return providerUnavailable(this.#failure(during, reason, answer));
  }

  /** Why the file that the provider says it stored cannot be kept, if so. */
  #faultOf(
    { file, failure }: FileAnswer,
    { source }: ProviderUpload,
    answer: TransportAnswer,
  ): CodedError | undefined {
    if (failure !== null) {
      const reason = cleaned(failure, this.#parts.apiKey).slice(0, 300);
      return providerRejected(this.#failure("taking in a file", reason, answer), 400);
    }
    if (file.sizeBytes === source.sizeBytes) return undefined;
    const what = `Provider ${this.name} stored another number of bytes than were sent`;
    return integrity(what, { expected: source.sizeBytes, actual: file.sizeBytes });
  }

  #failure(during: string, reason: string, answer: TransportAnswer): ProviderFailure {
    return {
      provider: this.name,
      during,
      reason,
      providerStatus: answer.status,
      requestId: requestIdOf(answer),
    };
  }
}

/** What is being done, for messages, and until when. */
interface Attempt {
  readonly during: string;
  readonly signal: AbortSignal;
}

const tooLate = (limitMs: number): TransportError =>
  new TransportError(`it took longer than ${limitMs} ms`, true);

/** Kimi's, GLM's, and what proxies in front of either use. */
const requestIdHeaders: readonly string[] = ["msh-request-id", "x-log-id", "x-request-id"];

function requestIdOf({ headers }: TransportAnswer): string | undefined {
  const id = requestIdHeaders.map((name) => headers[name]).find((each) => each !== undefined);
  return id?.slice(0, 128);
}

function pathOf(id: string): string {
  return `/files/${encodeURIComponent(id)}`;
}

/** Ids of the providers are made of these; anything else would change the request's path. */
function isId(id: string): boolean {
  return /^[\w.:-]{1,256}$/.test(id) && !/^\.+$/.test(id);
}
