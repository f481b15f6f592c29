import { createHash, type Hash } from "node:crypto";
import { Readable } from "node:stream";
import { integrity } from "../../files/errors.ts";
import { fileSource } from "../../files/source.ts";
import { sliceOf } from "../../files/storage/slice.ts";
import type { Answered } from "../../migration/call.ts";
import { usage } from "../context.ts";
import type { Remote, RemoteAnswer } from "../remote.ts";
import type {
  FileDoor,
  FileFacts,
  Removed,
  Routing,
  ServedUpload,
  UploadBody,
  UploadOrder,
} from "./file-door.ts";

/** A file in the gateway's shape, which is that of OpenAI's API. */
interface FileObject {
  readonly id: string;
  readonly bytes: number;
  readonly created_at: number;
  readonly filename: string;
  readonly purpose: string;
  readonly provider: string;
  readonly sha256: string;
  readonly mime_type: string;
  readonly provider_choice?: { readonly reasons: readonly string[] };
}

/** Files through a gateway. Forcing a path or a key needs the operator token. */
export function gatewayFiles(remote: Remote): FileDoor {
  const routed = ({ path, key }: Routing): Record<string, string> => ({
    ...(path === null && key === null ? {} : { "x-changeover-token": remote.operatorToken() }),
    ...(path === null ? {} : { "x-changeover-path": path }),
    ...(key === null ? {} : { "x-changeover-key": key }),
  });
  return {
    upload: (order) => upload(remote, order, routed(order.routing)),
    plan: () => Promise.reject(usage("--dry-run works in this process only: leave --gateway out.")),
    info: async ({ id, routing, signal }) => {
      const path = `/v1/files/${encodeURIComponent(id)}`;
      const headers = routed(routing);
      const answer = await remote.sendForJson<FileObject>({
        method: "GET",
        path,
        headers,
        signal,
      });
      return { value: factsOf(answer.json), answered: answeredBy(answer) };
    },
    download: async ({ id, routing, signal, start = 0 }) => {
      const path = `/v1/files/${encodeURIComponent(id)}`;
      const headers = routed(routing);
      const { json } = await remote.sendForJson<FileObject>({
        method: "GET",
        path,
        headers,
        signal,
      });
      const file = factsOf(json);
      const range = start === 0 ? {} : { range: `bytes=${start}-` };
      const answer = await remote.send({
        method: "GET",
        path: `${path}/content`,
        headers: { ...headers, ...range },
        signal,
      });
      // A proxy may answer with the whole file.
      const isWhole = start > 0 && answer.headers["content-range"] === undefined;
      const wanted = isWhole ? { start, end: file.sizeBytes - 1 } : null;
      const value = { file, body: sliceOf(answer.body, wanted) };
      return { value, answered: answeredBy(answer) };
    },
    list: async ({ limit, after, purpose, routing, signal }) => {
      const query = new URLSearchParams({ limit: String(limit) });
      if (after !== undefined) query.set("after", after);
      if (purpose !== undefined) query.set("purpose", purpose);
      const path = `/v1/files?${query.toString()}`;
      const answer = await remote.sendForJson<{ data: FileObject[]; has_more: boolean }>({
        method: "GET",
        path,
        headers: routed(routing),
        signal,
      });
      const { data, has_more } = answer.json;
      const value = { files: data.map(factsOf), hasMore: has_more };
      return { value, answered: answeredBy(answer) };
    },
    remove: async ({ id, routing, signal }) => {
      const path = `/v1/files/${encodeURIComponent(id)}`;
      const headers = routed(routing);
      const answer = await remote.sendForJson<Removed>({
        method: "DELETE",
        path,
        headers,
        signal,
      });
      const { id: removed, left = [] } = answer.json;
      return { value: { id: removed, left }, answered: answeredBy(answer) };
    },
    close: () => remote.close(),
  };
}

/** Sends the bytes as they are, and compares what the gateway stored with what was sent. */
async function upload(
  remote: Remote,
  order: UploadOrder,
  headers: Readonly<Record<string, string>>,
): Promise<ServedUpload> {
  const { body, name, provider, purpose, question, onDuplicate, progress, signal } = order;
  const { throttle } = order;
  const query = new URLSearchParams({ provider });
  if (purpose !== undefined) query.set("purpose", purpose);
  if (question !== undefined) query.set("question", question);
  if (onDuplicate !== "force") query.set("on_duplicate", onDuplicate);
  const hash = createHash("sha256");
  const { stream, length } = await opened(body);
  const answer = await remote.sendForJson<FileObject>({
    method: "PUT",
    path: `/v1/files/${encodeURIComponent(name.toWellFormed())}?${query.toString()}`,
    headers: { "content-type": "application/octet-stream", ...length, ...headers },
    body: Readable.from(counted(throttle.pass(stream, signal), hash, progress), {
      objectMode: false,
    }),
    signal,
  });
  const facts = factsOf(answer.json);
  const sent = hash.digest("hex");
  if (facts.sha256 !== sent) {
    const what = `The file ${facts.id} was not stored as it was sent`;
    throw integrity(what, { expected: sent, actual: facts.sha256 });
  }
  const providerReasons = answer.json.provider_choice?.reasons ?? [];
  return { value: facts, answered: answeredBy(answer), providerReasons };
}

/** A stream of the bytes, and the header that announces how many they are where that is known. */
async function opened(
  body: UploadBody,
): Promise<{ readonly stream: Readable; readonly length: Readonly<Record<string, string>> }> {
  if (body.kind === "stream") return { stream: body.stream, length: {} };
  const source = await fileSource(body.path);
  return { stream: source.open(), length: { "content-length": String(source.sizeBytes) } };
}

async function* counted(
  stream: AsyncIterable<Buffer>,
  hash: Hash,
  progress: (sentBytes: number) => void,
): AsyncGenerator<Buffer, void, void> {
  let sentBytes = 0;
  for await (const chunk of stream) {
    hash.update(chunk);
    sentBytes += chunk.length;
    yield chunk;
    progress(sentBytes);
  }
}

function answeredBy({ headers }: RemoteAnswer): Answered {
  return {
    path: headers["x-changeover-path"] === "candidate" ? "candidate" : "legacy",
    reason: String(headers["x-changeover-reason"] ?? ""),
    fellBack: headers["x-changeover-fell-back"] === "true",
    requestId: String(headers["x-request-id"] ?? ""),
  };
}

function factsOf(file: FileObject): FileFacts {
  return {
    id: file.id,
    name: file.filename,
    sizeBytes: file.bytes,
    sha256: file.sha256,
    mimeType: file.mime_type,
    provider: file.provider,
    purpose: file.purpose,
    createdAt: new Date(file.created_at * 1000).toISOString(),
  };
}
