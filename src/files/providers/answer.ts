import * as v from "valibot";
import type { ErrorAnswer } from "./error-table.ts";
import type { ProviderFile } from "./provider.ts";
import type { TransportAnswer } from "./transport.ts";

const text = v.pipe(v.string(), v.maxLength(4096));

/** The file object of both providers; only what is needed is asked for. */
const fileSchema = v.object({
  id: v.pipe(text, v.nonEmpty()),
  bytes: v.pipe(v.number(), v.integer(), v.minValue(0)),
  created_at: v.optional(v.nullable(v.number()), null),
  filename: v.optional(v.nullable(text), null),
  purpose: v.optional(v.nullable(text), null),
  status: v.optional(v.nullable(text), null),
  status_details: v.optional(v.nullable(v.unknown()), null),
});

const pageSchema = v.object({
  data: v.array(fileSchema),
  has_more: v.optional(v.nullable(v.boolean()), null),
});

const deletedSchema = v.object({ deleted: v.boolean() });

const codeSchema = v.optional(v.nullable(v.union([v.string(), v.number()])), null);
const errorSchema = v.object({
  error: v.object({
    type: codeSchema,
    code: codeSchema,
    message: v.optional(v.nullable(v.string()), null),
  }),
});

/** One file object, and why the provider failed to take the file in, if it did. */
export interface FileAnswer {
  readonly file: ProviderFile;
  readonly failure: string | null;
}

/** A page of a list. */
export interface PageAnswer {
  readonly files: readonly ProviderFile[];
  readonly hasMore: boolean;
}

/** Reads a file object; undefined when it is none. `purpose` stands in where the provider is silent. */
export function readFileAnswer(body: string, purpose: string): FileAnswer | undefined {
  const parsed = v.safeParse(fileSchema, parsedJson(body));
  if (!parsed.success) return undefined;
  return { file: fileOf(parsed.output, purpose), failure: failureOf(parsed.output) };
}

/** Reads a list; undefined when it is none. */
export function readPageAnswer(body: string, purpose: string): PageAnswer | undefined {
  const parsed = v.safeParse(pageSchema, parsedJson(body));
  if (!parsed.success) return undefined;
  const files = parsed.output.data.map((file) => fileOf(file, purpose));
  return { files, hasMore: parsed.output.has_more === true };
}

/** Does the answer confirm that the file is gone? */
export function confirmsDeletion(body: string): boolean {
  const parsed = v.safeParse(deletedSchema, parsedJson(body));
  return parsed.success && parsed.output.deleted;
}

/** Characters of a provider's message that are passed on. */
const MAX_MESSAGE = 300;

/**
 * What an error answer says: Kimi puts the kind in `type`, GLM in `code`. A body that is no such error
 * (a proxy's page) is not passed on. `secret` is struck out wherever the provider repeats it.
 */
export function readErrorAnswer(answer: TransportAnswer, secret: string): ErrorAnswer {
  const { status } = answer;
  const parsed = v.safeParse(errorSchema, parsedJson(answer.body));
  if (!parsed.success) return { status, code: "", message: "" };
  const { type, code, message } = parsed.output.error;
  const kind = cleaned(String(code ?? type ?? ""), secret).slice(0, 64);
  return { status, code: kind, message: cleaned(message ?? "", secret).slice(0, MAX_MESSAGE) };
}

/** Seconds from a `retry-after-ms` or `Retry-After` header (RFC 9110, 10.2.3), at most a day. */
export function retryAfterOf(
  headers: Readonly<Record<string, string>>,
  nowMs: number,
): number | undefined {
  const inMs = Number.parseFloat(headers["retry-after-ms"] ?? "");
  if (inMs >= 0) return bounded(inMs / 1000);
  const header = headers["retry-after"] ?? "";
  if (/^\d+(\.\d+)?$/.test(header)) return bounded(Number(header));
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? undefined : bounded((atMs - nowMs) / 1000);
}

function bounded(seconds: number): number {
  return Math.min(Math.max(0, Math.ceil(seconds)), 86_400);
}

type FileObject = v.InferOutput<typeof fileSchema>;

function fileOf(object: FileObject, purpose: string): ProviderFile {
  return {
    id: object.id,
    name: object.filename ?? "",
    sizeBytes: object.bytes,
    purpose: object.purpose ?? purpose,
    createdAt: isoTime(object.created_at ?? 0),
  };
}

/** Kimi answers an upload it could not parse with 200, and says so in its status. */
function failureOf({ status, status_details: details }: FileObject): string | null {
  const failed = status !== null && /^(error|failed)$/i.test(status);
  const explained = typeof details === "string" && details !== "";
  const done = status === null || /^(ok|ready|processed|uploaded)$/i.test(status);
  if (!failed && (done || !explained)) return null;
  return explained ? details : `its status is ${status}`;
}

/** Seconds since 1970, as documented; larger numbers can only be milliseconds. */
function isoTime(createdAt: number): string {
  const ms = Math.abs(createdAt) > 1e11 ? createdAt : createdAt * 1000;
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? new Date(0).toISOString() : date.toISOString();
}

/** A provider's text, made fit for a message of ours: one line, without the key. */
export function cleaned(message: string, secret: string): string {
  return message.replaceAll(secret, "[key]").replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]+/gu, " ");
}

function parsedJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
