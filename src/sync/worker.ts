import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { parentPort, workerData } from "node:worker_threads";
import { type App, createApp } from "../app/app.ts";
import { readConfig } from "../app/config.ts";
import { configuredBackend } from "../app/configured-backend.ts";
import { CodedError, isCodedError, toError } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import { fileSource } from "../files/source.ts";
import type { CallOptions } from "../migration/call.ts";
import type { SentError, SyncEnvelope, SyncReply, SyncRequest } from "./protocol.ts";

let opened: Promise<App> | null = null;

parentPort?.on("message", (envelope: SyncEnvelope) => void serve(envelope));
wake(workerData as SharedArrayBuffer);

async function serve({ request, awake, port, timeoutMs }: SyncEnvelope): Promise<void> {
  let reply: SyncReply;
  try {
    reply = { ok: true, value: await answerTo(request, AbortSignal.timeout(timeoutMs)) };
  } catch (error) {
    reply = { ok: false, error: sentError(error, timeoutMs) };
  }
  port.postMessage(reply);
  wake(awake);
  port.close();
}

function wake(awake: SharedArrayBuffer): void {
  const flag = new Int32Array(awake);
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
}

async function answerTo(request: SyncRequest, signal: AbortSignal): Promise<unknown> {
  if (request.kind === "close") {
    const app = await opened?.catch(() => null);
    opened = null;
    await app?.close();
    return null;
  }
  opened ??= openApp().catch((error: unknown) => {
    opened = null;
    throw error;
  });
  const { files } = await opened;
  const { owner } = request;
  // One owner stays on one path, as in the gateway; where there is only one, every call is its own.
  const call: CallOptions = { key: request.key ?? randomUUID(), signal };
  if (request.kind === "delete") return (await files.delete({ owner, id: request.id }, call)).value;
  if (request.kind === "download") {
    const { value } = await files.download({ owner, id: request.id }, call);
    await keep(value.body, resolve(request.destination), signal);
    return value.file;
  }
  const { path, name, provider, purpose, mimeType, metadata, onDuplicate } = request;
  const { value } = await files.upload(
    {
      owner,
      name: name ?? basename(path),
      source: await fileSource(resolve(path)),
      metadata,
      onDuplicate,
      ...(provider === null ? {} : { provider }),
      ...(purpose === null ? {} : { purpose }),
      ...(mimeType === null ? {} : { mimeType }),
    },
    call,
  );
  return value;
}

function openApp(): Promise<App> {
  const config = readConfig();
  const backend = configuredBackend(config);
  if (backend === null) {
    throw new CodedError(
      "FILES_SYNC_NO_BACKEND",
      "changeover/sync starts no embedded backend. Set SUPABASE_URL and SUPABASE_SECRET_KEY.",
      { status: 400, details: { effect: "absent" } },
    );
  }
  return createApp(config, { logger: silentLogger, backend });
}

/** The final name appears when all bytes are there and were checked, and on the disk. */
async function keep(
  body: NodeJS.ReadableStream,
  destination: string,
  signal: AbortSignal,
): Promise<void> {
  const part = `${destination}.${randomUUID().slice(0, 8)}.part`;
  try {
    await pipeline(body, createWriteStream(part, { flags: "wx" }), { signal });
    const handle = await open(part, "r");
    await handle.sync().finally(() => handle.close());
    await rename(part, destination);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

function sentError(thrown: unknown, timeoutMs: number): SentError {
  const error = isTimeout(thrown)
    ? new CodedError(
        "FILES_SYNC_TIMEOUT",
        `It took longer than ${timeoutMs} ms and was given up. Give it a longer timeoutMs.`,
        { status: 504, retryable: true },
      )
    : thrown;
  if (!isCodedError(error)) {
    const { message } = toError(error);
    return {
      code: null,
      message,
      status: 500,
      retryable: false,
      retryAfterSeconds: null,
      details: {},
    };
  }
  const { code, message, status, retryable, retryAfterSeconds = null } = error;
  // What cannot cross between threads is left behind.
  const details = JSON.parse(JSON.stringify(error.details)) as Record<string, unknown>;
  return { code, message, status, retryable, retryAfterSeconds, details };
}

function isTimeout(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === "TimeoutError";
}
