import { randomUUID } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import type { Catalog, Content, FileEntry } from "../catalog/catalog.ts";
import { normalFileName } from "../file-name.ts";
import type { Rate } from "../retry/rate.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";
import { adoptedFileId } from "./adopted-id.ts";
import { hashObject } from "./hashed-object.ts";
import type { ObjectOutcome } from "./tally.ts";

/** How objects are taken in. */
export interface AdoptionOptions {
  readonly catalog: Catalog;
  readonly storage: Pick<ObjectStorage, "get">;
  readonly clock: Clock;
  readonly owner: string;
  readonly purpose: string;
  /** Reads and hashes, and writes nothing. */
  readonly validateOnly: boolean;
  /** Bytes a second, all objects together; null for as fast as it goes. */
  readonly bytesRate: Rate | null;
  readonly signal: AbortSignal;
}

/** Gives objects a hash and a row each; taking one in twice is the same as once. */
export class Adoption {
  readonly #options: AdoptionOptions;

  constructor(options: AdoptionOptions) {
    this.#options = options;
  }

  /** Rejects with what the backend said, or with the signal's reason. */
  async take(key: string): Promise<ObjectOutcome> {
    try {
      return (await this.find(key)) ?? (await this.#adopt(key));
    } catch (error) {
      this.#options.signal.throwIfAborted();
      // Another machine may have been quicker with the same object.
      const found = await this.find(key).catch(() => null);
      if (found !== null) return found;
      throw error;
    }
  }

  /** What is known of an object that has its file already; null when it has none. */
  async find(key: string): Promise<ObjectOutcome | null> {
    const { owner, catalog, signal } = this.#options;
    const id = adoptedFileId(owner, key);
    const found = await catalog.findFile({ owner, id }, signal);
    if (found === null) return null;
    return { kind: "known", bytes: 0, sameAs: otherThan(key, found.content) };
  }

  async #adopt(key: string): Promise<ObjectOutcome> {
    const { catalog, storage, clock, purpose, validateOnly, bytesRate, signal } = this.#options;
    const name = normalFileName(key.slice(key.lastIndexOf("/") + 1));
    const object = await hashObject(key, { storage, name, bytesRate, signal });
    // Removed since it was listed: there is nothing to take in.
    if (object === null) return { kind: "gone", bytes: 0, sameAs: null };
    const { sha256, sizeBytes, mimeType } = object;
    const now = new Date(clock.now()).toISOString();
    const content: Content = {
      id: randomUUID(),
      sha256,
      provider: "none",
      purpose,
      storageKey: key,
      providerFileId: null,
      sizeBytes,
      createdAt: now,
    };
    const stored = validateOnly
      ? ((await catalog.findContent(content, signal)) ?? content)
      : await catalog.addContent(content, signal);
    if (!validateOnly) await this.#addFile(key, { name, mimeType, content: stored, now });
    return { kind: "adopted", bytes: sizeBytes, sameAs: otherThan(key, stored) };
  }

  async #addFile(
    key: string,
    facts: { name: string; mimeType: string; content: Content; now: string },
  ): Promise<void> {
    const { owner, catalog, signal } = this.#options;
    const { name, mimeType, content, now } = facts;
    const entry: FileEntry = {
      id: adoptedFileId(owner, key),
      owner,
      contentId: content.id,
      name,
      purpose: content.purpose,
      provider: "none",
      mimeType,
      metadata: { backfilled_from: key },
      createdAt: now,
      accessedAt: now,
    };
    if (await catalog.addFile(entry, signal)) return;
    throw new Error("Its bytes were deleted while it was taken in; run backfill again.");
  }
}

const otherThan = (key: string, { storageKey }: Content): string | null =>
  storageKey === key ? null : storageKey;
