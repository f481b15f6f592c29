import type { SupabaseClient } from "@supabase/supabase-js";
import { answerFailure, connectionFailure } from "../storage/backend-failure.ts";
import type { SupabaseConnection } from "../storage/supabase-connection.ts";
import { REHEARSAL_ROOT, type ScopeName, scopeOf } from "./scope-name.ts";

/** What the client answers; it does not throw. */
interface Answer {
  readonly data: unknown;
  readonly error: { readonly message: string; readonly code?: string } | null;
}

interface Listed {
  readonly name: string;
  /** Null for what is only the beginning of other keys. */
  readonly id: string | null;
}

/** A scope with the keys of its objects. */
export interface Found {
  readonly scope: ScopeName;
  readonly keys: readonly string[];
}

/** An object's key ends with the id of its content. */
const uuid = /\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const PAGE = 1000;
/** Rows and objects looked at in one sweep, at most; the rest is found by the next. */
const LOOKED_AT_MAX = 20_000;
/** Keys in one request to remove them. */
const KEYS_AT_ONCE = 100;

/** Finds and removes what rehearsals have stored. Knows their names only: nothing else is touched. */
export class Leftovers {
  readonly #connection: SupabaseConnection;
  readonly #bucket: string;

  constructor(connection: SupabaseConnection, bucket: string) {
    this.#connection = connection;
    this.#bucket = bucket;
  }

  /**
   * Removes a scope's objects by their whole keys, and the rows of the contents that they belong to. By
   * those contents' ids, for which there are indexes: the tables are as large as their owner's business.
   */
  async clear({ scope, keys }: Found, signal: AbortSignal): Promise<void> {
    const own = keys.filter((key) => key.startsWith(`${scope.prefix}/`));
    const below = `${scope.prefix}/%`;
    for (let start = 0; start < own.length; start += KEYS_AT_ONCE) {
      const some = own.slice(start, start + KEYS_AT_ONCE);
      const ids = some.flatMap((key) => uuid.exec(key)?.[1] ?? []);
      // The rows first, and files before contents, to which they point: what is left can be found again.
      await this.#ask("removing rehearsed files", signal, (client) =>
        client.from("files").delete().in("content_id", ids).like("owner", below),
      );
      await this.#ask("removing rehearsed contents", signal, (client) =>
        client.from("contents").delete().in("id", ids).like("purpose", below),
      );
      await this.#ask("removing rehearsed objects", signal, (client) =>
        client.storage.from(this.#bucket).remove(some),
      );
    }
  }

  /** Removes a scope's rows whose objects are gone. Looks through whole tables. */
  async clearRows(scope: ScopeName, signal: AbortSignal): Promise<void> {
    const below = `${scope.prefix}/%`;
    await this.#ask("removing rehearsed files", signal, (client) =>
      client.from("files").delete().like("owner", below),
    );
    await this.#ask("removing rehearsed contents", signal, (client) =>
      client.from("contents").delete().like("purpose", below),
    );
  }

  /** Every scope that has objects, with their keys. */
  async find(signal: AbortSignal): Promise<readonly Found[]> {
    const found = new Map<string, { readonly scope: ScopeName; readonly keys: string[] }>();
    for (const key of await this.#keys(signal)) {
      const scope = scopeOf(key);
      if (scope === null) continue;
      const known = found.get(scope.prefix) ?? { scope, keys: [] };
      known.keys.push(key);
      found.set(scope.prefix, known);
    }
    return [...found.values()];
  }

  /** Every scope that has rows. Looks through whole tables. */
  async findRows(signal: AbortSignal): Promise<readonly ScopeName[]> {
    const owners = await this.#column("files", "owner", signal);
    const purposes = await this.#column("contents", "purpose", signal);
    const scopes = [...owners, ...purposes].flatMap((text) => scopeOf(text) ?? []);
    return [...new Map(scopes.map((scope) => [scope.prefix, scope])).values()];
  }

  async #column(table: string, column: string, signal: AbortSignal): Promise<readonly string[]> {
    const rows = (await this.#ask("looking for rehearsed rows", signal, (client) =>
      client.from(table).select(column).like(column, `${REHEARSAL_ROOT}/%`).limit(PAGE),
    )) as readonly Readonly<Record<string, string>>[] | null;
    return (rows ?? []).map((row) => row[column] ?? "");
  }

  async #keys(signal: AbortSignal): Promise<readonly string[]> {
    const keys = new Set<string>();
    const folders = [REHEARSAL_ROOT];
    let looked = 0;
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      for (let offset = 0; looked < LOOKED_AT_MAX; offset += PAGE) {
        const page = await this.#page(folder, offset, signal);
        looked += page.length;
        for (const { name, id } of page) {
          // Some servers list whole keys at once, others one level with names relative to it.
          const path = name.startsWith(`${REHEARSAL_ROOT}/`) ? name : `${folder}/${name}`;
          if (id === null) folders.push(path);
          else keys.add(path);
        }
        if (page.length < PAGE) break;
      }
    }
    return [...keys];
  }

  async #page(folder: string, offset: number, signal: AbortSignal): Promise<readonly Listed[]> {
    const listed = await this.#ask("looking for rehearsed objects", signal, (client) =>
      client.storage.from(this.#bucket).list(folder, { limit: PAGE, offset }),
    );
    return (listed ?? []) as readonly Listed[];
  }

  async #ask(
    during: string,
    signal: AbortSignal,
    request: (client: SupabaseClient) => PromiseLike<Answer>,
  ): Promise<unknown> {
    const { reply, networkError } = await this.#connection
      .run(signal, request)
      .catch((error: unknown) => {
        signal.throwIfAborted();
        throw connectionFailure(during, error);
      });
    if (networkError !== undefined) throw connectionFailure(during, networkError);
    if (reply.error === null) return reply.data;
    const { status = 0, code } = reply.error as {
      readonly status?: number;
      readonly code?: string;
    };
    throw answerFailure(during, { status, code });
  }
}
