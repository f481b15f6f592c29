import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { tooLarge } from "../../files/errors.ts";
import { autoProvider } from "../../files/file-manager.ts";
import type { UploadInput } from "../../files/file-service.ts";
import type { StagedFile } from "../../files/spool.ts";
import { invalidRequest, missingFields } from "../errors.ts";
import { BodyWatch } from "./body-watch.ts";
import { callerOf, type FileRouteOptions } from "./file-call.ts";
import { type UploadedObject, uploadedObject } from "./file-object.ts";
import { type ReceivedForm, receiveForm } from "./multipart-form.ts";
import { receiveRawBody } from "./raw-body.ts";
import { onDuplicateOf, type UploadFields, uploadFields } from "./upload-form.ts";

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
): Promise<UploadedObject> {
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
  const { metadata, ...said } = uploadFields(form.fields);
  const { file } = form;
  // Whoever leaves the provider to us may leave it to us what the file is for there.
  const isPurposeOpen = !said.purpose && said.provider !== autoProvider;
  if (file === null || isPurposeOpen) {
    const missing = [...(file === null ? ["file"] : []), ...(isPurposeOpen ? ["purpose"] : [])];
    throw missingFields(missing);
  }
  return { file, fields: { metadata, ...settingsOf(said) } };
}

async function putFile(
  request: FastifyRequest,
  reply: FastifyReply,
  options: FileRouteOptions,
  name: string,
): Promise<UploadedObject> {
  const { app } = options;
  checkQuery(request.query as Record<string, unknown>);
  const settings = settingsOf({
    purpose: setting(request, "purpose"),
    provider: setting(request, "provider"),
    question: setting(request, "question"),
    onDuplicate: onDuplicateOf(setting(request, "on_duplicate")),
  });
  const limitBytes = app.config.maxFileBytes;
  const staged = await receiving({ request, reply, limitBytes }, options, (signal) =>
    receiveRawBody(request.raw, { spool: app.spool, maxFileBytes: limitBytes, signal }),
  );
  try {
    return await store(request, options, staged, { name, ...settings });
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
): Promise<UploadedObject> {
  const { exchange } = request;
  const caller = callerOf(request);
  exchange.fileBytes = source.sizeBytes;
  const answer = await app.files.upload(
    { ...input, owner: caller.owner, source },
    exchange.callOptions(caller),
  );
  return uploadedObject(answer);
}

/** What an upload says beside its bytes; null or empty where it says nothing. */
type UploadSettings = Omit<UploadFields, "metadata">;

function settingsOf(said: UploadSettings): Omit<UploadInput, "owner" | "name" | "source"> {
  const { purpose, provider, question, onDuplicate } = said;
  if (question !== null && provider !== autoProvider) {
    throw invalidRequest(
      "question",
      "`question` helps to choose a provider: send provider=auto with it.",
    );
  }
  return {
    ...(purpose ? { purpose } : {}),
    ...(provider ? { provider } : {}),
    ...(question === null ? {} : { question }),
    ...(onDuplicate === null ? {} : { onDuplicate }),
  };
}

/** Characters of a setting at most. */
const settingMax = { purpose: 64, provider: 64, on_duplicate: 64, question: 4000 } as const;

/** A setting of an upload by PUT, from the query or else from its header (`x-changeover-on-duplicate`). */
function setting(request: FastifyRequest, name: keyof typeof settingMax): string | null {
  const fromQuery = (request.query as Record<string, unknown>)[name];
  const value = fromQuery ?? request.headers[`x-changeover-${name.replace("_", "-")}`];
  if (value === undefined || value === "") return null;
  const max = settingMax[name];
  if (typeof value === "string" && value.length <= max) return value;
  throw invalidRequest(name, `\`${name}\` must be one text of at most ${max} characters.`);
}

/** A setting that nobody knows is a misspelt one, and would be taken for unsaid. */
function checkQuery(query: Readonly<Record<string, unknown>>): void {
  const unknown = Object.keys(query).find((name) => !Object.hasOwn(settingMax, name));
  if (unknown === undefined) return;
  const shown = unknown.slice(0, 64);
  const known = Object.keys(settingMax).join(", ");
  throw invalidRequest(
    shown,
    `An upload by PUT has no setting ${JSON.stringify(shown)}. Its query takes ${known} only.`,
  );
}
