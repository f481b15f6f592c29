import type { ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../../../base/clock.ts";
import type { Download, StoredFile } from "../../../files/file-manager.ts";
import { callerOf, type FileRouteOptions } from "../file-call.ts";
import { downloadRange, namesTag, type WantedRange, wantedRange } from "./byte-range.ts";
import { contentHeaders, etagOf } from "./content-headers.ts";

interface Params {
  readonly id: string;
}

/** Adds `GET` and `HEAD /v1/files/{id}/content`: the bytes, whole or of a range. */
export function addContentRoute(server: FastifyInstance, options: FileRouteOptions): void {
  // Before GET, so that the framework does not make one that downloads in vain.
  server.head<{ Params: Params }>("/v1/files/:id/content", async (request, reply) => {
    const file = await info(request, options, request.params.id);
    reply.headers(contentHeaders(file)).header("content-length", file.sizeBytes);
    if (!namesTag(request.headers["if-none-match"], etagOf(file))) return reply.send();
    return reply.code(304).removeHeader("content-length").send();
  });

  server.get<{ Params: Params }>("/v1/files/:id/content", async (request, reply) => {
    const { id } = request.params;
    const wanted = wantedRange(request.headers.range);
    const known = needsInfo(request, wanted) ? await info(request, options, id) : null;
    if (known !== null && namesTag(request.headers["if-none-match"], etagOf(known))) {
      return reply.code(304).headers(contentHeaders(known)).removeHeader("content-type").send();
    }
    const range = isOutdated(request, known) ? null : downloadRange(wanted, known?.sizeBytes ?? 0);
    const download = await open(request, options, id, range);
    return sendContent(request, reply, options, download);
  });
}

/** A plain download, and one of a plain range, need no question before it. */
function needsInfo(request: FastifyRequest, wanted: WantedRange): boolean {
  const { "if-none-match": ifNoneMatch, "if-range": ifRange } = request.headers;
  if (ifNoneMatch !== undefined || wanted.kind === "suffix") return true;
  return wanted.kind === "from" && ifRange !== undefined;
}

/** Is the range meant for bytes that the file no longer has? */
function isOutdated(request: FastifyRequest, known: StoredFile | null): boolean {
  const ifRange = request.headers["if-range"];
  return known !== null && ifRange !== undefined && ifRange !== etagOf(known);
}

type Range = { readonly start: number; readonly end: number | null } | null;

async function info(
  request: FastifyRequest,
  { app }: FileRouteOptions,
  id: string,
): Promise<StoredFile> {
  const caller = callerOf(request);
  const { value } = await app.files.info(
    { owner: caller.owner, id },
    request.exchange.callOptions(caller),
  );
  return value;
}

async function open(
  request: FastifyRequest,
  { app }: FileRouteOptions,
  id: string,
  range: Range,
): Promise<Download> {
  const caller = callerOf(request);
  const { value } = await app.files.download(
    { owner: caller.owner, id, ...(range === null ? {} : { range }) },
    request.exchange.callOptions(caller),
  );
  return value;
}

function sendContent(
  request: FastifyRequest,
  reply: FastifyReply,
  { clock, limits }: FileRouteOptions,
  { file, range, body }: Download,
): FastifyReply {
  const { start, end } = range ?? { start: 0, end: file.sizeBytes - 1 };
  request.exchange.fileBytes = end - start + 1;
  reply.headers(contentHeaders(file)).header("content-length", end - start + 1);
  if (range !== null) {
    reply.code(206).header("content-range", `bytes ${start}-${end}/${file.sizeBytes}`);
  }
  cutStalled(reply.raw, body, clock, limits.downloadIdleMs);
  return reply.send(body);
}

/** Ends a download whose reader takes nothing, so that it cannot hold a connection for ever. */
function cutStalled(response: ServerResponse, body: Readable, clock: Clock, idleMs: number): void {
  let seenBytes = -1;
  let sinceMs = clock.monotonicMs();
  const timer = clock.every(Math.max(1, idleMs / 10), () => {
    const { bytesWritten: sentBytes = 0, writableLength: waitingBytes = 0 } = response.socket ?? {};
    if (waitingBytes === 0 || sentBytes !== seenBytes) {
      seenBytes = sentBytes;
      sinceMs = clock.monotonicMs();
    } else if (clock.monotonicMs() - sinceMs >= idleMs) {
      response.destroy();
      body.destroy();
    }
  });
  response.once("close", () => timer.cancel());
}
