import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import type { App } from "../../app/app.ts";
import { CodedError } from "../../base/errors.ts";
import type { FileSource, StoredFile } from "../../files/file-manager.ts";
import type { UploadInput } from "../../files/file-service.ts";
import { fileSource } from "../../files/source.ts";
import type { CallOptions } from "../../migration/call.ts";
import type { FileDoor, FileFacts, Routing, UploadOrder } from "./file-door.ts";

/** The owner of everything when no keys are configured. */
const LOCAL_OWNER = "local";

/**
 * Files through the file service of an app in this process, on behalf of whoever `apiKey` names.
 * Throws `CLI_API_KEY` when keys are configured and this is none of them.
 */
export function localFiles(app: App, apiKey: string | undefined): FileDoor {
  const owner = ownerOf(app, apiKey);
  const call = (routing: Routing, signal: AbortSignal): CallOptions => ({
    // As in the gateway: an owner stays on one path; where there is only one, every call is its own.
    key: routing.key ?? (app.owners === null ? randomUUID() : owner),
    signal,
    ...(routing.path === null ? {} : { override: routing.path }),
  });
  return {
    upload: (order) =>
      withSource(app, order, async (whole) => {
        const { routing, signal, throttle } = order;
        const source = await throttle.source(whole, signal);
        const input = inputOf(order, owner, source);
        const { value, answered, choice } = await app.files.upload(input, call(routing, signal));
        return { value: factsOf(value), answered, providerReasons: choice?.reasons ?? [] };
      }),
    plan: (order) =>
      withSource(app, order, async (source) => {
        const options = call(order.routing, order.signal);
        const { request, choice } = await app.files.plan(inputOf(order, owner, source), options);
        const { name, mimeType, provider, purpose } = request;
        const { sizeBytes } = source;
        const facts = { name, sizeBytes, mimeType, provider, purpose };
        return { ...facts, providerReasons: choice?.reasons ?? [] };
      }),
    info: async ({ id, routing, signal }) => {
      const { value, answered } = await app.files.info({ owner, id }, call(routing, signal));
      return { value: factsOf(value), answered };
    },
    download: async ({ id, routing, signal, start = 0 }) => {
      const range = start === 0 ? {} : { range: { start, end: null } };
      const request = { owner, id, ...range };
      const { value, answered } = await app.files.download(request, call(routing, signal));
      return { answered, value: { file: factsOf(value.file), body: value.body } };
    },
    list: async ({ limit, after, purpose, routing, signal }) => {
      const wanted = {
        owner,
        limit,
        ...(after === undefined ? {} : { after }),
        ...(purpose === undefined ? {} : { purpose }),
      };
      const { value, answered } = await app.files.list(wanted, call(routing, signal));
      const files = value.files.map(factsOf);
      return { answered, value: { files, hasMore: value.hasMore } };
    },
    remove: async ({ id, routing, signal }) =>
      app.files.delete({ owner, id }, call(routing, signal)),
    close: async () => {
      await app.close();
    },
  };
}

function inputOf(order: UploadOrder, owner: string, source: FileSource): UploadInput {
  const { name, provider, purpose, question, progress, onDuplicate } = order;
  // A file of the user's can be named again; what came through a pipe is gone.
  const keepPartial = order.body.kind === "file";
  return {
    ...{ owner, name, provider, source, progress, onDuplicate, keepPartial },
    ...(purpose === undefined ? {} : { purpose }),
    ...(question === undefined ? {} : { question }),
  };
}

/** Runs `use` with a source that can be read as often as needed; standard input is staged for it. */
async function withSource<T>(
  app: App,
  { body, signal }: UploadOrder,
  use: (source: FileSource) => Promise<T>,
): Promise<T> {
  if (body.kind === "file") return use(await fileSource(body.path));
  const staged = await app.spool.stage(body.stream satisfies Readable, {
    maxBytes: app.config.maxFileBytes,
    signal,
  });
  try {
    return await use(staged);
  } finally {
    await staged.release();
  }
}

function ownerOf(app: App, apiKey: string | undefined): string {
  if (app.owners === null) return LOCAL_OWNER;
  const owner = apiKey === undefined ? undefined : app.owners.get(apiKey);
  if (owner !== undefined) return owner;
  throw new CodedError(
    "CLI_API_KEY",
    `CHANGEOVER_KEYS_FILE is set, so files have owners, and ${apiKey === undefined ? "no key was given" : "this key names none of them"}. Give one of its keys with CHANGEOVER_API_KEY or --api-key.`,
    { status: 401 },
  );
}

function factsOf(file: StoredFile): FileFacts {
  const { id, name, sizeBytes, sha256, mimeType, provider, purpose, createdAt } = file;
  return { id, name, sizeBytes, sha256, mimeType, provider, purpose, createdAt };
}
