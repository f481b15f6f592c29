import type { Clock } from "../../base/clock.ts";
import { codeOf } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import type { Call, Path } from "../../migration/call.ts";
import {
  type Held,
  type Rehearsal,
  type RehearsalScope,
  voidRehearsal,
} from "../../migration/operation.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { ContentLock } from "../content-lock.ts";
import type { FileManager, StoredFile, UploadRequest } from "../file-manager.ts";
import type { ErrorProvider } from "../provider-errors.ts";
import type { FileManagerParts } from "../saga/parts.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";
import type { Leftovers } from "./leftovers.ts";
import { ProviderSink } from "./provider-sink.ts";
import { processName, type ScopeName, scopeName } from "./scope-name.ts";
import { ScopedCatalog } from "./scoped-catalog.ts";
import { ScopedStorage } from "./scoped-storage.ts";
import { expectedUpload, type RehearsedUpload, rehearsedUpload } from "./upload-facts.ts";

/** One path with connections of its own, so that rehearsals take none from callers. */
export interface RehearsedPath {
  readonly catalog: Catalog;
  readonly storage: ObjectStorage;
  readonly transport: "streaming" | "buffered";
  readonly open: (parts: FileManagerParts) => FileManager;
}

/** What an {@link UploadRehearsal} is made of. */
export interface UploadRehearsalParts {
  readonly paths: Readonly<Record<Path, RehearsedPath>>;
  readonly leftovers: Leftovers;
  /** Closes the connections behind all of it. */
  readonly disconnect: () => Promise<void>;
  readonly providers: readonly ErrorProvider[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds after which what is left of a rehearsal is nobody's any more; default 300,000. */
  readonly staleMs?: number;
}

/** Errors that a file which went away, or changed, leads to. */
const sourceCodes: readonly string[] = [
  "FILES_SOURCE_CHANGED",
  "FILES_MISSING",
  "FILES_UNREADABLE",
];

/**
 * Rehearses uploads: the path's own code stores the bytes as an object below a prefix of its own, writes
 * the rows for an owner that nobody can be, and encodes the provider's request in full for a sink. What
 * comes of it is read back and compared with what the caller was told; then all of it is removed.
 */
export class UploadRehearsal implements Rehearsal<UploadRequest, StoredFile> {
  readonly #parts: UploadRehearsalParts;
  readonly #process: string = processName();
  readonly #active = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();
  #hasLookedForRows = false;

  constructor(parts: UploadRehearsalParts) {
    this.#parts = parts;
  }

  /** Rehearsals of this process that are not cleaned up yet. */
  get active(): number {
    return this.#active.size;
  }

  open(request: UploadRequest, call: Call): RehearsalScope {
    if (this.#closing.signal.aborted) throw voidRehearsal("this process is shutting down");
    const name = scopeName(this.#process, this.#parts.clock.now());
    const stage = this.#stage(call.path, name);
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    this.#active.set(name.prefix, gone);
    let running: Promise<unknown> = Promise.resolve();
    return {
      run: () => {
        const run = this.#run(stage, request, call);
        running = run.catch(() => undefined);
        return run;
      },
      close: async () => {
        try {
          await running;
          const always = new AbortController().signal;
          const { keys } = stage.storage;
          await this.#parts.leftovers.clear({ scope: name, keys }, always);
        } finally {
          this.#active.delete(name.prefix);
          resolve();
        }
      },
    };
  }

  expected(file: StoredFile): RehearsedUpload {
    return expectedUpload(file);
  }

  hold({ source }: UploadRequest): Held {
    const release = source.retain?.();
    // A file of the caller's own stays where it is; bytes in memory are kept by being referred to.
    const stays = release === undefined && source.path !== null;
    return { bytes: stays ? 0 : source.sizeBytes, release: release ?? (() => undefined) };
  }

  /**
   * The first time rows are looked for as well: they have objects as long as nothing went wrong twice,
   * and looking for them reads whole tables.
   */
  async sweep(signal: AbortSignal): Promise<number> {
    const { leftovers, logger } = this.#parts;
    const within = AbortSignal.any([signal, this.#closing.signal]);
    let swept = 0;
    for (const found of await leftovers.find(within)) {
      if (!this.#isLeft(found.scope)) continue;
      await leftovers.clear(found, within);
      swept += 1;
    }
    const scopes = this.#hasLookedForRows ? [] : await leftovers.findRows(within);
    for (const scope of scopes.filter((each) => this.#isLeft(each))) {
      await leftovers.clearRows(scope, within);
      swept += 1;
    }
    this.#hasLookedForRows = true;
    if (swept > 0) logger.warn({ swept }, "Rehearsals that had been broken off were removed");
    return swept;
  }

  /** Breaks rehearsals off, waits until they are cleaned up, and closes the connections. */
  async close(): Promise<void> {
    this.#closing.abort(voidRehearsal("this process is shutting down"));
    await Promise.all(this.#active.values());
    await this.#parts.disconnect();
  }

  /** Nobody's any more: neither of this process, nor so young that another one may still run it. */
  #isLeft({ prefix, startedMs }: ScopeName): boolean {
    const { clock, staleMs = 300_000 } = this.#parts;
    return clock.now() - startedMs >= staleMs && !this.#active.has(prefix);
  }

  #stage(path: Path, { prefix }: ScopeName): Stage {
    const { paths, providers, clock, logger } = this.#parts;
    const { catalog, storage, transport, open } = paths[path];
    const sinks = providers.map((name) => new ProviderSink(name, clock));
    const scoped = {
      catalog: new ScopedCatalog(catalog, prefix),
      storage: new ScopedStorage(storage, prefix),
    };
    const manager = open({
      ...scoped,
      ...{ clock, logger, lock: new ContentLock() },
      providers: sinks.map((sink) => sink.provider(transport)),
    });
    return { ...scoped, sinks, manager };
  }

  async #run(stage: Stage, request: UploadRequest, call: Call): Promise<RehearsedUpload> {
    const { operation, path, source, key, requestId } = call;
    const signal = AbortSignal.any([call.signal, this.#closing.signal]);
    // The caller's progress has nothing to do with a rehearsal.
    const { progress: _, ...quiet } = request;
    try {
      const own = { operation, path, source, key, requestId, signal };
      const file = await stage.manager.upload(quiet, own);
      return await rehearsedUpload(stage, file, signal);
    } catch (error) {
      if (this.#closing.signal.aborted) throw this.#closing.signal.reason;
      await voidIfSourceIsGone(request, error);
      throw error;
    }
  }
}

/** Everything one rehearsal works on. */
interface Stage {
  readonly catalog: ScopedCatalog;
  readonly storage: ScopedStorage;
  readonly sinks: readonly ProviderSink[];
  readonly manager: FileManager;
}

/** A file that the caller has changed or removed since says nothing about the path. */
async function voidIfSourceIsGone({ source }: UploadRequest, error: unknown): Promise<void> {
  if (!sourceCodes.includes(codeOf(error) ?? "")) return;
  await source.verifyUnchanged().catch((cause: unknown) => {
    throw voidRehearsal("the file changed or went away after the answer", cause);
  });
}
