import type { Catalog } from "../catalog/catalog.ts";
import { integrity } from "../errors.ts";
import type { StoredFile } from "../file-manager.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";
import type { ProviderSink } from "./provider-sink.ts";
import { decodedName } from "./read-form.ts";

/** What must be alike between an upload and its rehearsal: everything but ids and times. */
type FileFacts = Omit<StoredFile, "id" | "createdAt" | "accessedAt" | "providerFileId">;

/** What a path would have told its provider. */
interface ProviderRequest {
  readonly name: string;
  readonly mimeType: string;
  readonly purpose: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** An upload in the form in which it is compared with its rehearsal. */
export interface RehearsedUpload {
  /** What the caller is told. */
  readonly file: FileFacts;
  /** What the tables hold, read back. */
  readonly row: FileFacts;
  readonly object: { readonly sizeBytes: number };
  /** Requests that a provider would have kept a file of; none for the provider `none`. */
  readonly sent: readonly ProviderRequest[];
}

/** What a rehearsal of the upload that made `file` must come to. */
export function expectedUpload(file: StoredFile): RehearsedUpload {
  const facts = factsOf(file);
  const { name, mimeType, purpose, sizeBytes, sha256, provider } = file;
  const sent = {
    name: decodedName(name),
    mimeType: essenceOf(mimeType),
    ...{ purpose, sizeBytes, sha256 },
  };
  return {
    file: facts,
    row: facts,
    object: { sizeBytes },
    sent: provider === "none" ? [] : [sent],
  };
}

/** What a rehearsal came to. Throws `FILES_INTEGRITY` when its row is not there. */
export async function rehearsedUpload(
  stage: {
    readonly catalog: Catalog;
    readonly storage: ObjectStorage;
    readonly sinks: readonly ProviderSink[];
  },
  file: StoredFile,
  signal: AbortSignal,
): Promise<RehearsedUpload> {
  const { owner, id } = file;
  const found = await stage.catalog.findFile({ owner, id }, signal);
  if (found === null) {
    throw integrity("The rehearsed upload wrote no row", { expected: "a row", actual: "none" });
  }
  const object = await stage.storage.head(found.content.storageKey, signal);
  const sent = stage.sinks.flatMap(({ uploads }) =>
    uploads.map(({ fileName, mimeType, fields, sizeBytes, sha256 }) => ({
      name: fileName,
      mimeType: essenceOf(mimeType),
      purpose: fields["purpose"] ?? "",
      ...{ sizeBytes, sha256 },
    })),
  );
  return {
    file: factsOf(file),
    row: factsOf(found.file),
    object: { sizeBytes: object?.sizeBytes ?? -1 },
    sent,
  };
}

function factsOf(file: StoredFile): FileFacts {
  const {
    id: _id,
    createdAt: _created,
    accessedAt: _accessed,
    providerFileId: _at,
    ...facts
  } = file;
  return facts;
}

/** A media type without its parameters, in lower case: forms may drop the one and change the other. */
function essenceOf(mimeType: string): string {
  return (mimeType.split(";")[0] ?? "").trim().toLowerCase();
}
