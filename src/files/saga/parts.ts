import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { ContentLock } from "../content-lock.ts";
import { unknownProvider } from "../errors.ts";
import type { ProviderName } from "../file-manager.ts";
import type { ErrorProvider } from "../provider-errors.ts";
import type { Provider } from "../providers/provider.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";
import type { UploadCounts } from "./upload-counts.ts";

/** What a file manager is made of. */
export interface FileManagerParts {
  readonly catalog: Catalog;
  readonly storage: ObjectStorage;
  /** The providers there are; each at most once. The manager closes them. */
  readonly providers: readonly Provider[];
  /** One for all managers of a process. */
  readonly lock: ContentLock;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where uploads are counted; default: nowhere. */
  readonly counts?: UploadCounts;
}

/** The provider of that name. Throws `FILES_UNKNOWN_PROVIDER` when it is not configured. */
export function providerOf(parts: FileManagerParts, name: ErrorProvider): Provider {
  const found = parts.providers.find((each) => each.name === name);
  if (found !== undefined) return found;
  const known: ProviderName[] = [...parts.providers.map((each) => each.name), "none"];
  throw unknownProvider(name, known);
}

/** Closes whatever the parts hold open. */
export async function closeParts(parts: FileManagerParts): Promise<void> {
  const { catalog, storage, providers } = parts;
  await Promise.all([catalog, storage, ...providers].map((each) => each.close()));
}
