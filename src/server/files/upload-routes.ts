import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { tooLarge } from "../../files/errors.ts";
import type { UploadInput } from "../../files/file-service.ts";
import type { StagedFile } from "../../files/spool.ts";
import { invalidRequest, missingFields } from "../errors.ts";
import { BodyWatch } from "./body-watch.ts";
import { callerOf, type FileRouteOptions } from "./file-call.ts";
import { type FileObject, fileObject } from "./file-object.ts";
import { type ReceivedForm, receiveForm } from "./multipart-form.ts";
import { receiveRawBody } from "./raw-body.ts";
import { uploadFields } from "./upload-form.ts";

interface Incoming {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly limitBytes: number;
}

/** Adds `POST /v1/files` (a form) and `PUT /v1/files/{name}` (the bytes themselves). */
export function addUploadRoutes(server: FastifyInstance, options: FileRouteOptions): void {
  server.post("/v1/files", (request, reply) => postFile(request, reply, options));
  server.put<{ Params: { name: string } }>("/v1/files/:name", async (request, reply) => {
    const file = await putFile(request, reply, options, request.params.name);
    return reply.code(201).header("location", `/v1/files/${file.id}`).send(file);
  });
}

async function postFile(
  request: FastifyRequest,
  reply: FastifyReply,
  options: FileRouteOptions,
): Promise<FileObject> {
  const { app, limits } = options;
  const { maxFileBytes } = app.config;
  const limitBytes = maxFileBytes + limits.formOverheadBytes;
  const form = await receiving({ request, reply, limitBytes }, options, (signal) =>
    receiveForm(request.raw, { spool: app.spool, maxFileBytes, limits, signal }),
  );
  try {
    const { file, fields } = checkedForm(form);
    const input = { ...fields, name: form.fileName };
    return await store(request, options, file, input);
  } finally {
    await form.file?.release();
  }
}

function checkedForm(form: ReceivedForm): {
  file: StagedFile;
  fields: Omit<UploadInput, "owner" | "name" | "source">;
} {
  const { purpose, provider, metadata } = uploadFields(form.fields);
  const { file } = form;
  if (file === null || !purpose) {
    const missing = [...(file === null ? ["file"] : []), ...(purpose ? [] : ["purpose"])];
    throw missingFields(missing);
  }
  return { file, fields: { purpose, metadata, ...(provider ? { provider } : {}) } };
}

async function putFile(
  request: FastifyRequest,
  reply: FastifyReply,
  options: FileRouteOptions,
  name: string,
): Promise<FileObject> {
  const { app } = options;
  const purpose = setting(request, "purpose");
  const provider = setting(request, "provider");
  const limitBytes = app.config.maxFileBytes;
  const staged = await receiving({ request, reply, limitBytes }, options, (signal) =>
    receiveRawBody(request.raw, { spool: app.spool, maxFileBytes: limitBytes, signal }),
  );
  try {
    return await store(request, options, staged, {
      name,
      ...(purpose === null ? {} : { purpose }),
      ...(provider === null ? {} : { provider }),
    });
  } finally {
    await staged.release();
  }
}

/**
 * Refuses a body that is announced as larger than `limitBytes`, says go on to a client that asks
 * first, and bounds how long it may be silent.
 */
async function receiving<T>(
  { request, reply, limitBytes }: Incoming,
  { clock, limits }: FileRouteOptions,
  receive: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const sizeBytes = Number(request.headers["content-length"] ?? 0);
  if (sizeBytes > limitBytes) {
    throw tooLarge({ what: "The body", whose: "this upload", limitBytes, sizeBytes });
  }
  if (/^100-continue$/i.test(request.headers.expect ?? "")) reply.raw.writeContinue();
  const watch = new BodyWatch(request.raw, clock, limits.bodyIdleMs);
  try {
    return await receive(AbortSignal.any([request.exchange.signal, watch.signal]));
  } finally {
    watch.stop();
  }
}

async function store(
  request: FastifyRequest,
  { app }: FileRouteOptions,
  source: StagedFile,
  input: Omit<UploadInput, "owner" | "source">,
): Promise<FileObject> {
  const { exchange } = request;
  const caller = callerOf(request);
  exchange.fileBytes = source.sizeBytes;
  const { value } = await app.files.upload(
    { ...input, owner: caller.owner, source },
    exchange.callOptions(caller),
  );
  return fileObject(value);
}

/** A setting of an upload by PUT, from the query or else from its header. */
function setting(request: FastifyRequest, name: "purpose" | "provider"): string | null {
  const fromQuery = (request.query as Record<string, unknown>)[name];
  const value = fromQuery ?? request.headers[`x-changeover-${name}`];
  if (value === undefined || value === "") return null;
  if (typeof value === "string" && value.length <= 64) return value;
  throw invalidRequest(name, `\`${name}\` must be one text of at most 64 characters.`);
}
