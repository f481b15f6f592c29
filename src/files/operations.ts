import { LRUCache } from "lru-cache";
import type {
  Cost,
  MigratedFunction,
  OperationDeclaration,
  OperationDefinition,
  Rehearsal,
} from "../migration/operation.ts";
import type {
  DeletedFile,
  Download,
  DownloadRequest,
  FileManager,
  FilePage,
  FileRequest,
  ListRequest,
  ProviderName,
  StoredFile,
  UploadRequest,
} from "./file-manager.ts";
import type { MigratedFiles } from "./file-service.ts";
import {
  readDownloadRequest,
  readFileRequest,
  readListRequest,
  recordedUpload,
} from "./recorded-input.ts";
import { effectOf } from "./saga/write-effect.ts";
import { ignoredDifferences } from "./sameness.ts";

/** Declares one operation to the facade, as `Changeover.migrate` does. */
type Migrate = <I, O>(definition: OperationDefinition<I, O>) => MigratedFunction<I, O>;

/** What {@link migrateFiles} needs. */
export interface FileMigration {
  readonly migrate: Migrate;
  readonly legacy: FileManager;
  readonly candidate: FileManager;
  /** How uploads are rehearsed; without it they are not shadowed. */
  readonly rehearsal?: Rehearsal<UploadRequest, StoredFile> | null;
}

/** The five operations, declared but not yet behind a facade. */
export interface FileOperations {
  readonly upload: OperationDefinition<UploadRequest, StoredFile>;
  readonly download: OperationDefinition<DownloadRequest, Download>;
  readonly info: OperationDefinition<FileRequest, StoredFile>;
  readonly list: OperationDefinition<ListRequest, FilePage>;
  readonly delete: OperationDefinition<FileRequest, DeletedFile>;
}

const MIB = 2 ** 20;
/** Read buffers of a streamed transfer, to storage and to a provider, and the sockets' own. */
const STREAMED_BYTES: number = 2 * MIB;
/** What the client and `fetch` make of one Buffer on its way out, as a multiple of the file. */
const BUFFERED_UPLOAD_FACTOR = 4;
/** The same with a provider, whose form is made of a copy of its own. */
const BUFFERED_PROVIDER_UPLOAD_FACTOR = 6;
/** A downloaded object is a Blob and then a Buffer. */
const BUFFERED_DOWNLOAD_FACTOR = 2;
/** Declared for a download of a file whose size this process has not seen. */
const UNKNOWN_SIZE_BYTES: number = 16 * MIB;
/** Files whose sizes are remembered for that. */
const SIZES_MAX = 10_000;

/**
 * The file system's operations: `files.upload`, `files.download`, `files.info`, `files.list` and
 * `files.delete`, each with both file managers as its paths.
 *
 * A delete declares no rehearsal, and so is never shadowed: by the time a shadow runs the file is gone,
 * and its request names neither bytes nor content. What could be rehearsed is the removal of some other
 * file made for the purpose, which would say nothing about this one.
 */
export function fileOperations(
  legacy: FileManager,
  candidate: FileManager,
  rehearsal: Rehearsal<UploadRequest, StoredFile> | null = null,
): FileOperations {
  const sizes = new FileSizes();
  const { upload, download, info, list, delete: remove } = ignoredDifferences;
  return {
    upload: {
      name: "files.upload",
      kind: "write",
      legacy: (request, call) => sizes.see(legacy.upload(request, call)),
      candidate: (request, call) => sizes.see(candidate.upload(request, call)),
      cost: ({ source, provider }) => uploadCost(source.sizeBytes, provider),
      effectOf,
      ignore: upload,
      recordInput: recordedUpload,
      ...(rehearsal === null ? {} : { rehearse: rehearsal }),
    },
    download: {
      name: "files.download",
      kind: "read",
      result: "stream",
      legacy: (request, call) => legacy.download(request, call),
      candidate: (request, call) => candidate.download(request, call),
      cost: ({ id }) => downloadCost(sizes.of(id)),
      ignore: download,
      recordInput: (request) => request,
      readInput: readDownloadRequest,
    },
    info: {
      name: "files.info",
      kind: "read",
      legacy: (request, call) => sizes.see(legacy.info(request, call)),
      candidate: (request, call) => sizes.see(candidate.info(request, call)),
      ignore: info,
      recordInput: (request) => request,
      readInput: readFileRequest,
    },
    list: {
      name: "files.list",
      kind: "read",
      legacy: (request, call) => legacy.list(request, call),
      candidate: (request, call) => candidate.list(request, call),
      ignore: list,
      recordInput: (request) => request,
      readInput: readListRequest,
    },
    delete: {
      name: "files.delete",
      kind: "write",
      legacy: (request, call) => legacy.delete(request, call),
      candidate: (request, call) => candidate.delete(request, call),
      effectOf,
      ignore: remove,
      recordInput: (request) => request,
    },
  };
}

/** Puts the file system behind a facade. */
export function migrateFiles(migration: FileMigration): MigratedFiles {
  const { migrate, legacy, candidate, rehearsal = null } = migration;
  const operations = fileOperations(legacy, candidate, rehearsal);
  return {
    upload: migrate(operations.upload),
    download: migrate(operations.download),
    info: migrate(operations.info),
    list: migrate(operations.list),
    delete: migrate(operations.delete),
  };
}

/** What {@link completeFiles} needs: of legacy, nothing. */
export interface CompleteFiles {
  readonly migrate: <I, O>(declaration: OperationDeclaration<I, O>) => MigratedFunction<I, O>;
  readonly candidate: FileManager;
}

/** Puts the file system behind a facade once legacy was removed: the candidate serves every call. */
export function completeFiles({ migrate, candidate }: CompleteFiles): MigratedFiles {
  const operations = fileOperations(candidate, candidate);
  return {
    upload: migrate(withoutLegacy(operations.upload)),
    download: migrate(withoutLegacy(operations.download)),
    info: migrate(withoutLegacy(operations.info)),
    list: migrate(withoutLegacy(operations.list)),
    delete: migrate(withoutLegacy(operations.delete)),
  };
}

function withoutLegacy<I, O>(definition: OperationDefinition<I, O>): OperationDeclaration<I, O> {
  const { legacy: _, ...declaration } = definition;
  return declaration;
}

/** Memory that an upload of so many bytes holds on each path. */
export function uploadCost(sizeBytes: number, provider: ProviderName): Cost {
  const factor = provider === "none" ? BUFFERED_UPLOAD_FACTOR : BUFFERED_PROVIDER_UPLOAD_FACTOR;
  return {
    legacy: Math.max(MIB, factor * sizeBytes),
    candidate: STREAMED_BYTES,
  };
}

/** Memory that a download holds on each path; null when nobody knows the file's size yet. */
export function downloadCost(sizeBytes: number | null): Cost {
  const known = sizeBytes ?? UNKNOWN_SIZE_BYTES;
  return {
    legacy: Math.max(MIB, BUFFERED_DOWNLOAD_FACTOR * known),
    candidate: STREAMED_BYTES,
  };
}

/** Sizes of files that passed by: a download names only an id, and legacy takes memory by size. */
class FileSizes {
  readonly #sizes = new LRUCache<string, number>({ max: SIZES_MAX });

  of(id: string): number | null {
    return this.#sizes.get(id) ?? null;
  }

  async see(answer: Promise<StoredFile>): Promise<StoredFile> {
    const file = await answer;
    this.#sizes.set(file.id, file.sizeBytes);
    return file;
  }
}
