import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { Clock } from "../../base/clock.ts";
import { drain, type LoopbackServer, listenOnLoopback, sendJson } from "../loopback-server.ts";
import { ADMIN_PREFIX, type StandInReport, serveAdmin } from "./admin.ts";
import { FaultBook, type FaultTarget, type Operation, type RequestFaults } from "./faults.ts";
import { answerBeforeBody } from "./lingering-answer.ts";
import { type ProviderFile, ProviderFiles } from "./provider-files.ts";
import { RequestLimits } from "./request-limits.ts";
import { BrokenUpload, receiveUpload } from "./upload-arrival.ts";
import { judgeUpload, largestFile } from "./upload-rules.ts";
import type { ProviderWire, Refusal, RefusalFacts, WireError } from "./wire.ts";

/** What a stand-in is made of. */
export interface StandInOptions {
  readonly wire: ProviderWire;
  /** Keeps its files. */
  readonly folder: string;
  readonly apiKey: string;
  /** 0: any free one. */
  readonly port: number;
  readonly clock: Clock;
}

/** A request on its way: what it asks for, and the faults that hit it. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly fileId: string;
  readonly faults: RequestFaults;
  readonly arrivedMs: number;
}

type Answerable = Pick<Exchange, "request" | "response">;

interface Route {
  readonly operation: Operation;
  readonly method: string;
  readonly path: RegExp;
}

/** The file API below the base path; the same shape at both providers. */
const ROUTES: readonly Route[] = [
  { operation: "upload", method: "POST", path: /^\/files$/ },
  { operation: "list", method: "GET", path: /^\/files$/ },
  { operation: "content", method: "GET", path: /^\/files\/([^/]+)\/content$/ },
  { operation: "retrieve", method: "GET", path: /^\/files\/([^/]+)$/ },
  { operation: "delete", method: "DELETE", path: /^\/files\/([^/]+)$/ },
];

/** How much of a file the stand-in "extracts", in bytes. */
const MAX_EXTRACT_BYTES = 1024 * 1024;
const MAX_PAGE = 100;
const DEFAULT_PAGE = 20;

/**
 * A provider's file API on loopback, as far as it is documented: limits, errors and shapes come from
 * the provider's table (`ProviderWire`). It says what it is at `GET /`; its speed says nothing about
 * the provider's.
 */
export class StandIn {
  readonly #options: StandInOptions;
  readonly #files: ProviderFiles;
  readonly #faults = new FaultBook();
  readonly #limits = new RequestLimits();
  #requests: Record<string, number> = {};
  #refused: Record<string, number> = {};
  #uploadBytes = 0;
  /** Uploads that passed the rules and are being written: they count against the limits already. */
  readonly #admitted = new Set<ProviderFile>();
  #server: LoopbackServer | undefined;

  private constructor(options: StandInOptions, files: ProviderFiles) {
    this.#options = options;
    this.#files = files;
  }

  static async start(options: StandInOptions): Promise<StandIn> {
    const standIn = new StandIn(options, await ProviderFiles.open(options.folder));
    standIn.#server = await listenOnLoopback(options.port, (request, response) =>
      standIn.#serve(request, response),
    );
    return standIn;
  }

  /** `http://127.0.0.1:<port>` */
  get origin(): string {
    return this.#server?.origin ?? "";
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    response.setHeader(this.#options.wire.requestIdHeader, randomUUID());
    this.#route(request, response)
      .catch((error: unknown) => {
        if (!(error instanceof BrokenUpload)) process.stderr.write(`${String(error)}\n`);
        if (response.headersSent) response.destroy();
        else this.#sendError({ request, response }, this.#options.wire.fault(500));
      })
      .finally(() => drain(request));
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { wire } = this.#options;
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    if (url.pathname === "/") return sendJson(response, 200, bannerOf(wire));
    if (url.pathname.startsWith(`${ADMIN_PREFIX}/`)) {
      return serveAdmin(request, response, {
        report: () => this.#report(),
        faults: this.#faults,
        limits: this.#limits,
        reset: () => this.#reset(),
      });
    }
    const path = url.pathname.startsWith(wire.basePath)
      ? url.pathname.slice(wire.basePath.length)
      : "";
    const route = ROUTES.find((each) => each.method === request.method && each.path.test(path));
    const keyRefusal = refuseKey(request.headers.authorization, this.#options.apiKey);
    if (keyRefusal !== undefined) return this.#refuse({ request, response }, keyRefusal);
    if (route === undefined) return this.#refuse({ request, response }, "no-route");
    const fileId = route.path.exec(path)?.[1] ?? "";
    await this.#limited({ request, response }, () =>
      this.#perform(route.operation, { request, response, url, fileId }),
    );
  }

  async #perform(
    operation: Operation,
    call: Omit<Exchange, "faults" | "arrivedMs">,
  ): Promise<void> {
    this.#requests[operation] = (this.#requests[operation] ?? 0) + 1;
    const faults = this.#faults.take(operation);
    const exchange = { ...call, faults, arrivedMs: this.#options.clock.monotonicMs() };
    if ((await faults.act("arrival", this.#target(exchange, 0))) === "over") return;
    await this.#operations[operation](exchange);
  }

  /** The account's rate limits come before everything else that a request with the right key meets. */
  async #limited(to: Answerable, work: () => Promise<void>): Promise<void> {
    const { wire, clock } = this.#options;
    const refused = this.#limits.enter(clock.monotonicMs());
    const rate = this.#limits.rate();
    for (const [name, value] of Object.entries(rate === undefined ? {} : wire.rateHeaders(rate))) {
      to.response.setHeader(name, value);
    }
    if (refused !== undefined) return this.#refuse(to, refused.refusal, refused.facts);
    await work().finally(() => this.#limits.leave());
  }

  readonly #operations: Readonly<Record<Operation, (exchange: Exchange) => Promise<void>>> = {
    upload: (exchange) => this.#upload(exchange),
    list: (exchange) => this.#list(exchange),
    retrieve: async (exchange) => {
      const file = this.#files.find(exchange.fileId);
      if (!this.#options.wire.retrieves) return this.#refuse(exchange, "no-route");
      if (file === undefined) return this.#refuseMissing(exchange);
      await this.#reply(exchange, this.#options.wire.fileObject(file));
    },
    content: (exchange) => this.#content(exchange),
    delete: async (exchange) => {
      const { fileId } = exchange;
      if (!(await this.#files.remove(fileId))) return this.#refuseMissing(exchange);
      await this.#reply(exchange, { id: fileId, object: "file", deleted: true });
    },
  };

  async #upload(exchange: Exchange): Promise<void> {
    const { request, faults } = exchange;
    const { clock } = this.#options;
    const wire = this.#wireWithLimits();
    if (!/^multipart\/form-data;.*boundary=/.test(request.headers["content-type"] ?? "")) {
      return this.#refuse(exchange, "not-multipart");
    }
    const id = wire.newFileId();
    let seen = 0;
    try {
      const { fields, file } = await receiveUpload(request, {
        path: this.#files.arrivalPath(id),
        maxFileBytes: largestFile(wire),
        onBytes: async (total) => {
          this.#uploadBytes += total - seen;
          seen = total;
          if (!faults.has("bytes")) return true;
          return (await faults.act("bytes", this.#target(exchange, total))) === "go-on";
        },
      });
      const purpose = fields.get("purpose");
      const refused = judgeUpload(wire, { purpose, file, ...this.#totals(purpose) });
      if (refused !== undefined) return this.#refuse(exchange, refused.refusal, refused.facts);
      if (file === undefined || purpose === undefined) return;
      const createdAt = Math.floor(clock.now() / 1000);
      const kept: ProviderFile = { id, purpose, createdAt, ...file };
      this.#admitted.add(kept);
      await this.#files.add(kept).finally(() => this.#admitted.delete(kept));
      await this.#reply(exchange, wire.fileObject(kept));
    } finally {
      await this.#files.discard(id);
    }
  }

  async #list(exchange: Exchange): Promise<void> {
    const { wire } = this.#options;
    if (wire.lists === "all") {
      const data = this.#files.all().map((file) => wire.fileObject(file));
      return this.#reply(exchange, { object: "list", data });
    }
    const query = exchange.url.searchParams;
    const limit = Math.min(
      MAX_PAGE,
      Math.max(1, Number(query.get("limit") ?? DEFAULT_PAGE) || DEFAULT_PAGE),
    );
    const ofPurpose = this.#files.all().filter((file) => file.purpose === query.get("purpose"));
    const after = ofPurpose.findIndex((file) => file.id === query.get("after"));
    const page = ofPurpose.slice(after + 1, after + 1 + limit);
    await this.#reply(exchange, {
      object: "list",
      data: page.map((file) => wire.fileObject(file)),
      has_more: after + 1 + limit < ofPurpose.length,
    });
  }

  async #content(exchange: Exchange): Promise<void> {
    const { response, fileId } = exchange;
    const file = this.#files.find(fileId);
    if (file === undefined) return this.#refuseMissing(exchange);
    const form = this.#options.wire.purposes[file.purpose]?.content ?? "refused";
    if (form === "refused") return this.#refuse(exchange, "no-content", { fileId });
    if (form === "extracted-text") return this.#reply(exchange, await this.#extract(file));
    response.writeHead(200, {
      "content-type": "application/octet-stream",
      "content-length": file.bytes,
    });
    // A client that goes away in the middle is no error of ours.
    await pipeline(this.#files.read(fileId), response).catch(() => undefined);
  }

  /** What the provider's parser would give, in its form: the text itself for text, a note for the rest. */
  async #extract(file: ProviderFile): Promise<unknown> {
    const text = await this.#files.text(file.id, MAX_EXTRACT_BYTES);
    const isText =
      !text.slice(0, 4096).includes("\u0000") && !text.slice(0, 4096).includes("\ufffd");
    return {
      content: isText ? text : `[stand-in: the text of ${file.fileName}, ${file.bytes} bytes]`,
      file_type: file.mimeType,
      filename: file.fileName,
      title: "",
      type: "file",
    };
  }

  #totals(purpose: string | undefined): {
    filesOfPurpose: number;
    filesInAll: number;
    bytesInAll: number;
  } {
    const files = [...this.#files.all(), ...this.#admitted];
    return {
      filesOfPurpose: files.filter((file) => file.purpose === purpose).length,
      filesInAll: files.length,
      bytesInAll: files.reduce((sum, file) => sum + file.bytes, 0),
    };
  }

  /** The documented limits, or the account's own where those are lower. */
  #wireWithLimits(): ProviderWire {
    const { wire } = this.#options;
    const { maxFiles, maxTotalBytes } = this.#limits.limits;
    return {
      ...wire,
      maxFiles: Math.min(wire.maxFiles, maxFiles ?? wire.maxFiles),
      maxTotalBytes: Math.min(wire.maxTotalBytes, maxTotalBytes ?? wire.maxTotalBytes),
    };
  }

  async #reply(exchange: Exchange, body: unknown): Promise<void> {
    const { response, faults } = exchange;
    let text = JSON.stringify(body);
    const target: FaultTarget = {
      ...this.#target(exchange, 0),
      alterReply: (alter) => {
        text = alter(text);
      },
    };
    if ((await faults.act("reply", target)) === "over") return;
    const bytes = Buffer.from(text);
    response.writeHead(200, {
      "content-type": "application/json; charset=utf-8",
      "content-length": bytes.length,
    });
    response.end(bytes);
  }

  #refuseMissing(exchange: Exchange): void {
    this.#refuse(exchange, "not-found", { fileId: exchange.fileId });
  }

  #refuse(to: Answerable, refusal: Refusal, facts: RefusalFacts = {}): void {
    this.#refused[refusal] = (this.#refused[refusal] ?? 0) + 1;
    this.#sendError(to, this.#options.wire.refuse(refusal, facts));
  }

  #sendError({ request, response }: Answerable, error: WireError): void {
    answerBeforeBody(request, response, error, this.#options.clock);
  }

  #target(exchange: Exchange, bytesReceived: number): FaultTarget {
    const { request, response, arrivedMs } = exchange;
    const { clock, wire } = this.#options;
    return {
      clock,
      bytesReceived,
      elapsedMs: clock.monotonicMs() - arrivedMs,
      answerError: (status, seconds) => {
        const error = wire.fault(status);
        const headers = seconds === undefined ? error.headers : { "retry-after": `${seconds}` };
        this.#sendError(exchange, { ...error, ...(headers === undefined ? {} : { headers }) });
      },
      answerArrears: () => this.#refuse(exchange, "arrears"),
      alterReply: () => undefined,
      hang: () => {
        drain(request);
        return new Promise((resolve) => response.once("close", resolve));
      },
      reset: () => request.socket.resetAndDestroy(),
    };
  }

  #report(): StandInReport {
    return {
      standIn: true,
      provider: this.#options.wire.name,
      files: this.#files.all(),
      requests: { ...this.#requests },
      refused: { ...this.#refused },
      uploadBytes: this.#uploadBytes,
      openConnections: this.#server?.openConnections() ?? 0,
      faults: this.#faults.plans.length === 0 ? null : this.#faults.plans,
      limits: this.#limits.limits,
    };
  }

  async #reset(): Promise<void> {
    for (const file of this.#files.all()) await this.#files.remove(file.id);
    this.#requests = {};
    this.#refused = {};
    this.#uploadBytes = 0;
  }
}

function bannerOf(wire: ProviderWire): unknown {
  return {
    standIn: true,
    message: `This is a stand-in for the file API of ${wire.title}, not the provider: it keeps to the documented wire format, and its speed says nothing about the provider's.`,
    baseUrl: wire.basePath,
  };
}

function refuseKey(header: string | undefined, apiKey: string): Refusal | undefined {
  const given = /^Bearer (.+)$/.exec(header ?? "")?.[1];
  if (given === undefined) return "no-key";
  // Hashed first: the comparison takes the same time whatever the lengths.
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(apiKey)) ? undefined : "wrong-key";
}
