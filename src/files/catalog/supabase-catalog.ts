import type { SupabaseClient } from "@supabase/supabase-js";
import type { CodedError } from "../../base/errors.ts";
import { backendUnavailable, notFound } from "../errors.ts";
import type {
  FilePage,
  FileRequest,
  ListRequest,
  ProviderName,
  StoredFile,
} from "../file-manager.ts";
import { answerFailure, connectionFailure } from "../storage/backend-failure.ts";
import type { ContentKey } from "../storage/object-key.ts";
import type { ClientReply, SupabaseConnection } from "../storage/supabase-connection.ts";
import type {
  Catalog,
  CatalogFile,
  Content,
  ContentPageRequest,
  ContentRemoval,
  FileEntry,
  OwnedContent,
  VerifiedContent,
} from "./catalog.ts";
import {
  type ContentRow,
  contentOf,
  fileOf,
  type JoinedRow,
  joinedColumns,
  rowOfContent,
  rowOfEntry,
} from "./rows.ts";

/** The largest page of a list. */
const PAGE_MAX = 100;

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** The column list that decides whether two contents are the same. */
const UNIQUE = "sha256,provider,purpose";
/** How often a content is added whose rival row came and went. */
const ADD_ATTEMPTS = 10;
const FOREIGN_KEY_VIOLATION = "23503";

/** What the client answers; it does not throw. */
interface Answer {
  readonly data: unknown;
  readonly error: { readonly code?: string; readonly message: string } | null;
  readonly status: number;
}

/**
 * The rows in Supabase (PostgREST over Postgres, or over the sandbox's SQLite). De-duplication is left
 * to the unique constraint by "insert, ignoring duplicates"; nothing depends on how an error is worded.
 */
export class SupabaseCatalog implements Catalog {
  readonly #connection: SupabaseConnection;

  constructor(connection: SupabaseConnection) {
    this.#connection = connection;
  }

  async findContent(key: ContentKey, signal: AbortSignal): Promise<Content | null> {
    const { sha256, provider, purpose } = key;
    const rows = await this.#rows<ContentRow>("looking up the content", signal, (client) =>
      client.from("contents").select("*").match({ sha256, provider, purpose }).limit(1),
    );
    return rows[0] === undefined ? null : contentOf(rows[0]);
  }

  async findContentById(id: string, signal: AbortSignal): Promise<Content | null> {
    if (!uuid.test(id)) return null;
    const rows = await this.#rows<ContentRow>("looking up the content", signal, (client) =>
      client.from("contents").select("*").eq("id", id).limit(1),
    );
    return rows[0] === undefined ? null : contentOf(rows[0]);
  }

  async hasProviderFile(
    file: { readonly provider: ProviderName; readonly providerFileId: string },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { provider, providerFileId } = file;
    const rows = await this.#rows<{ id: string }>("looking up a provider file", signal, (client) =>
      client
        .from("contents")
        .select("id")
        .match({ provider, provider_file_id: providerFileId })
        .limit(1),
    );
    return rows.length > 0;
  }

  async listContents(
    { after, limit }: ContentPageRequest,
    signal: AbortSignal,
  ): Promise<readonly VerifiedContent[]> {
    type Row = ContentRow & { readonly files: readonly unknown[] };
    const rows = await this.#rows<Row>("listing contents", signal, (client) => {
      const all = client
        .from("contents")
        .select("*, files(id)")
        .limit(1, { referencedTable: "files" });
      return (after === null ? all : all.gt("id", after)).order("id").limit(limit);
    });
    return rows.map((row) => ({ ...contentOf(row), isUsed: row.files.length > 0 }));
  }

  async addContent(content: Content, signal: AbortSignal): Promise<Content> {
    const during = "adding the content";
    for (let attempt = 1; attempt <= ADD_ATTEMPTS; attempt += 1) {
      const rows = await this.#rows<ContentRow>(during, signal, (client) =>
        client
          .from("contents")
          .upsert(rowOfContent(content), { onConflict: UNIQUE, ignoreDuplicates: true })
          .select("*"),
      );
      if (rows[0] !== undefined) return contentOf(rows[0]);
      // The row in our way may be gone again by now.
      const winner = await this.findContent(content, signal);
      if (winner !== null) return winner;
    }
    const reason = `other processes added and removed the same bytes ${ADD_ATTEMPTS} times`;
    throw backendUnavailable({ during, reason, effect: "absent" });
  }

  async removeContent(id: string, signal: AbortSignal): Promise<ContentRemoval> {
    const during = "removing the content";
    const users = await this.#rows<{ id: string }>(during, signal, (client) =>
      client.from("files").select("id").eq("content_id", id).limit(1),
    );
    if (users.length > 0) return "in-use";
    const answer = await this.#ask(during, signal, (client) =>
      client.from("contents").delete().eq("id", id).select("id"),
    );
    // The foreign key decides when a file was added since we looked.
    if (answer.error?.code === FOREIGN_KEY_VIOLATION) return "in-use";
    return rowsOf(during, answer).length > 0 ? "removed" : "absent";
  }

  async addFile(entry: FileEntry, signal: AbortSignal): Promise<boolean> {
    const during = "adding the file";
    const answer = await this.#ask(during, signal, (client) =>
      client.from("files").insert(rowOfEntry(entry)),
    );
    if (answer.error?.code === FOREIGN_KEY_VIOLATION) return false;
    check(during, answer);
    return true;
  }

  async findFile({ owner, id }: FileRequest, signal: AbortSignal): Promise<CatalogFile | null> {
    if (!uuid.test(id)) return null;
    const rows = await this.#rows<JoinedRow>("looking up the file", signal, (client) =>
      client.from("files").select(joinedColumns).match({ owner, id }).limit(1),
    );
    return rows[0] === undefined ? null : fileOf(rows[0]);
  }

  async findFileOf(
    { owner, contentId }: OwnedContent,
    signal: AbortSignal,
  ): Promise<StoredFile | null> {
    const rows = await this.#rows<JoinedRow>("looking for the same bytes", signal, (client) =>
      client
        .from("files")
        .select(joinedColumns)
        .match({ owner, content_id: contentId })
        .order("created_at")
        .limit(1),
    );
    return rows[0] === undefined ? null : fileOf(rows[0]).file;
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<FilePage> {
    const { owner, after, purpose } = request;
    const limit = Math.min(Math.max(Math.trunc(request.limit), 1), PAGE_MAX);
    const ascending = request.order === "asc";
    const last = after === undefined ? null : await this.findFile({ owner, id: after }, signal);
    if (after !== undefined && last === null) throw notFound(after);
    const rows = await this.#rows<JoinedRow>("listing files", signal, (client) => {
      let query = client.from("files").select(joinedColumns).eq("owner", owner);
      if (purpose !== undefined) query = query.eq("purpose", purpose);
      if (last !== null) query = query.or(afterRow(last.file.createdAt, last.file.id, ascending));
      return query
        .order("created_at", { ascending })
        .order("id", { ascending })
        .limit(limit + 1);
    });
    const files = rows.slice(0, limit).map((row) => fileOf(row).file);
    return { files, hasMore: rows.length > limit };
  }

  async removeFile({ owner, id }: FileRequest, signal: AbortSignal): Promise<boolean> {
    if (!uuid.test(id)) return false;
    const rows = await this.#rows<{ id: string }>("removing the file", signal, (client) =>
      client.from("files").delete().match({ owner, id }).select("id"),
    );
    return rows.length > 0;
  }

  async markAccessed({ owner, id }: FileRequest, at: string, signal: AbortSignal): Promise<void> {
    const during = "marking the file as accessed";
    const answer = await this.#ask(during, signal, (client) =>
      client.from("files").update({ accessed_at: at }).match({ owner, id }),
    );
    check(during, answer);
  }

  prepare(count: number): void {
    this.#connection.prepare(count);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #rows<Row>(
    during: string,
    signal: AbortSignal,
    query: (client: SupabaseClient) => PromiseLike<Answer>,
  ): Promise<readonly Row[]> {
    return rowsOf(during, await this.#ask(during, signal, query)) as readonly Row[];
  }

  /** One request; throws when there is no answer at all. */
  async #ask(
    during: string,
    signal: AbortSignal,
    query: (client: SupabaseClient) => PromiseLike<Answer>,
  ): Promise<Answer> {
    let reply: ClientReply<Answer>;
    try {
      reply = await this.#connection.run(signal, query);
    } catch (error) {
      signal.throwIfAborted();
      throw connectionFailure(during, error);
    }
    const { reply: answer, networkError } = reply;
    if (answer.error !== null) signal.throwIfAborted();
    if (networkError !== undefined) throw connectionFailure(during, networkError);
    return answer;
  }
}

/** Keyset paging: what comes after one row in the order of (created_at, id). */
function afterRow(createdAt: string, id: string, ascending: boolean): string {
  const than = ascending ? "gt" : "lt";
  return `created_at.${than}."${createdAt}",and(created_at.eq."${createdAt}",id.${than}.${id})`;
}

function rowsOf(during: string, answer: Answer): readonly unknown[] {
  check(during, answer);
  if (Array.isArray(answer.data)) return answer.data;
  throw backendUnavailable({ during, reason: "the answer is not a list of rows" });
}

function check(during: string, answer: Answer): void {
  if (answer.error !== null) throw failureOf(during, answer.status, answer.error);
}

function failureOf(during: string, status: number, error: { readonly code?: string }): CodedError {
  const code = error.code === undefined || error.code === "" ? {} : { code: error.code };
  return answerFailure(during, { status, ...code });
}
