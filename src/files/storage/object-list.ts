import type { ListedObject } from "./object-storage.ts";

/** What one page of a folder names: objects, and folders below it, by their full names. */
export interface ListPage {
  readonly objects: readonly ListedObject[];
  readonly folders: readonly string[];
  /** Entries of the page, whatever they are. */
  readonly entries: number;
}

interface Entry {
  readonly id?: string | null;
  readonly name?: string;
  readonly metadata?: { readonly size?: number } | null;
  readonly created_at?: string | null;
  readonly updated_at?: string | null;
}

/**
 * Reads a page of `POST /object/list/{bucket}` for the folder `prefix` (empty, or ending with a slash).
 * The real server names what is directly in the folder, without its prefix, and marks folders with a
 * null id; the embedded one answers all objects below it by their full names. Undefined when it is
 * neither.
 */
export function readListPage(prefix: string, text: string): ListPage | undefined {
  const entries = parsed(text);
  if (entries === undefined) return undefined;
  const objects: ListedObject[] = [];
  const folders: string[] = [];
  for (const { id, name, metadata, created_at, updated_at } of entries) {
    if (typeof name !== "string" || name === "") return undefined;
    // Names of the real server have no slash in them.
    const key = name.includes("/") ? name : prefix + name;
    if (id === null || id === undefined) {
      folders.push(`${key}/`);
      continue;
    }
    const storedAt = updated_at ?? created_at ?? "";
    objects.push({ key, sizeBytes: metadata?.size ?? -1, storedAt });
  }
  return { objects, folders, entries: entries.length };
}

function parsed(text: string): readonly Entry[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? (value as readonly Entry[]) : undefined;
  } catch {
    return undefined;
  }
}
