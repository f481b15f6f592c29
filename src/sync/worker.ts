import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { runAsWorker } from "synckit";
import { type App, createApp } from "../app/app.ts";
import { readConfig } from "../app/config.ts";
import { configuredBackend } from "../app/configured-backend.ts";
import { systemClock } from "../base/clock.ts";
import { CodedError, isCodedError, toError } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import { isDiskError, unwritable } from "../files/errors.ts";
import { partName } from "../files/file-name.ts";
import { fileSource } from "../files/source.ts";
import type { CallOptions } from "../migration/call.ts";
import { GRACE_MS, type SentError, type SyncReply, type SyncRequest } from "./protocol.ts";

let opened: Promise<App> | null = null;

/** The longest a timer of Node waits, in milliseconds. */
const TIMER_MAX_MS = 2 ** 31 - 1;

runAsWorker(async (request: SyncRequest, timeoutMs: number): Promise<SyncReply> => {
  // Work that heeds no signal ends with this thread, whose end the caller is told at once.
  const patienceMs = Math.min(timeoutMs + GRACE_MS, TIMER_MAX_MS);
  const patience = systemClock.after(patienceMs, () => process.exit(1), true);
  try {
    return { ok: true, value: await answerTo(request, AbortSignal.timeout(timeoutMs)) };
  } catch (error) {
    return { ok: false, error: sentError(error, timeoutMs) };
  } finally {
    patience.cancel();
    // After the answer is out.
    if (request.kind === "close") setImmediate(() => process.exit(0));
  }
});

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
  const part = join(dirname(destination), partName(basename(destination), randomUUID()));
  try {
    await pipeline(body, createWriteStream(part, { flags: "wx" }), { signal });
    const handle = await open(part, "r");
    await handle.sync().finally(() => handle.close());
    await rename(part, destination);
  } catch (error) {
    await rm(part, { force: true }).catch(() => undefined);
    throw isDiskError(error) ? unwritable(destination, error) : error;
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
