import type { Content } from "../catalog/catalog.ts";
import type { Provider } from "../providers/provider.ts";
import type { FileManagerParts } from "../saga/parts.ts";
import type { Finding } from "./comparison.ts";

/** Where findings are looked at again. */
export type FindingPlaces = Pick<FileManagerParts, "catalog" | "storage" | "providers">;

/**
 * Looks at one finding again, by itself: lists are read one after another while files come and go, so
 * what they seem to say may be over. True when it still is as it was found.
 */
export async function isStillSo(
  places: FindingPlaces,
  finding: Finding,
  signal: AbortSignal,
): Promise<boolean> {
  const { catalog, storage } = places;
  switch (finding.kind) {
    case "orphaned-object":
      return (await rowOf(places, finding, signal)) === null;
    case "orphaned-provider-file":
      return !(await catalog.hasProviderFile(
        { provider: finding.provider ?? "none", providerFileId: finding.subject },
        signal,
      ));
    // Whether it is used is decided by its removal.
    case "unused-content":
      return (await rowOf(places, finding, signal)) !== null;
    case "missing-object": {
      const content = await rowOf(places, finding, signal);
      return content !== null && !(await hasBytes(places, content.storageKey, signal));
    }
    case "differing-object":
    case "unreadable-object": {
      const content = await rowOf(places, finding, signal);
      return content !== null && (await storage.head(content.storageKey, signal)) !== null;
    }
    case "missing-provider-file":
    case "differing-provider-file": {
      const content = await rowOf(places, finding, signal);
      if (content === null) return false;
      return providerStillSays(providerFor(places, content), finding, content, signal);
    }
  }
}

/** Storage may know of an object whose bytes it has lost. */
async function hasBytes(
  { storage }: Pick<FindingPlaces, "storage">,
  key: string,
  signal: AbortSignal,
): Promise<boolean> {
  if ((await storage.head(key, signal)) === null) return false;
  const body = await storage.get(key, null, signal);
  // Only that it begins was asked.
  body?.on("error", () => undefined).destroy();
  return body !== null;
}

async function providerStillSays(
  provider: Provider | undefined,
  { kind }: Finding,
  { providerFileId, purpose, sizeBytes }: Content,
  signal: AbortSignal,
): Promise<boolean> {
  if (provider === undefined || providerFileId === null) return true;
  const file = await provider.info(providerFileId, purpose, signal);
  if (kind === "missing-provider-file") return file === null;
  return file !== null && file.sizeBytes !== sizeBytes;
}

/** The provider of a content, where it is set up. */
export function providerFor(
  { providers }: Pick<FindingPlaces, "providers">,
  { provider }: Pick<Content, "provider">,
): Provider | undefined {
  return providers.find(({ name }) => name === provider);
}

/** The row that a finding is about, as it is now. */
export async function rowOf(
  { catalog }: Pick<FindingPlaces, "catalog">,
  { contentId }: Finding,
  signal: AbortSignal,
): Promise<Content | null> {
  return contentId === null ? null : catalog.findContentById(contentId, signal);
}
