import type { Clock } from "../../base/clock.ts";
import { type CodedError, isCodedError } from "../../base/errors.ts";
import {
  integrity,
  type ProviderFailure,
  providerRejected,
  providerUnavailable,
} from "../errors.ts";
import type { Progress } from "../file-manager.ts";
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
import type { Provider, ProviderFile, ProviderUpload } from "./provider.ts";
import {
  type Transport,
  type TransportAnswer,
  TransportError,
  type TransportRequest,
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
    const during = "listing files";
    const { dialect } = this.#parts;
    const seen = new Set<string>();
    let after: string | undefined;
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const path = `/files${dialect.listQuery(purpose, after)}`;
      const answer = await this.#send({ method: "GET", path }, { during, signal });
      const page = readPageAnswer(this.#expectOk(answer, during), purpose);
      if (page === undefined) throw this.#nonsense(during, answer);
      const wanted = dialect.listsByPurpose
        ? page.files
        : page.files.filter((file) => file.purpose === purpose);
      yield { ...page, files: wanted };
      after = page.files.at(-1)?.id;
      if (!page.hasMore || after === undefined) return;
      // A page that leads back to itself would never end.
      if (seen.has(after)) throw this.#nonsense(during, answer);
      seen.add(after);
    }
    const reason = `its list did not end after ${MAX_PAGES} pages`;
    throw providerUnavailable({ provider: this.name, during, reason, effect: "absent" });
  }

  /** One attempt within its time limit; every failure becomes a coded error or the caller's reason. */
  async #send(
    request: Pick<TransportRequest, "method" | "path" | "form" | "progress">,
    { during, signal }: { readonly during: string; readonly signal: AbortSignal },
  ): Promise<TransportAnswer> {
    const { clock, transport, uploadMs, requestMs } = this.#parts;
    const limitMs = request.form === undefined ? requestMs : uploadMs;
    const late = new AbortController();
    const timer = clock.after(limitMs, () =>
      late.abort(new TransportError(`it took longer than ${limitMs} ms`, true)),
    );
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
