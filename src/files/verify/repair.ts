import { contentIdOfKey, type Finding } from "./comparison.ts";
import { type FindingPlaces, isStillSo, providerFor, rowOf } from "./confirmation.ts";

/**
 * Removes one left-over, after looking once more whether it is one. False when there was nothing to do
 * any more. Only for findings of which `findingTable` says that they are left over; what is missing or
 * differs is for people.
 */
export async function removeLeftOver(
  places: FindingPlaces,
  finding: Finding,
  signal: AbortSignal,
): Promise<boolean> {
  if (!(await isStillSo(places, finding, signal))) return false;
  switch (finding.kind) {
    case "orphaned-object":
      await places.storage.remove(finding.subject, signal);
      return true;
    case "orphaned-provider-file": {
      const { provider } = finding;
      if (provider === null) return false;
      await providerFor(places, { provider })?.remove(finding.subject, signal);
      return true;
    }
    case "unused-content":
      return removeUnused(places, finding, signal);
    default:
      return false;
  }
}

/** In the order of a delete: the row first, under its foreign key, then what nobody points at any more. */
async function removeUnused(
  places: FindingPlaces,
  finding: Finding,
  signal: AbortSignal,
): Promise<boolean> {
  const content = await rowOf(places, finding, signal);
  if (content === null) return false;
  // Without its provider nobody would know of the provider's file once the row is gone.
  if (content.providerFileId !== null && providerFor(places, content) === undefined) {
    throw new Error(`Provider ${content.provider} is not looked at, so its file would be left.`);
  }
  if ((await places.catalog.removeContent(content.id, signal)) !== "removed") return false;
  if (content.providerFileId !== null) {
    await providerFor(places, content)?.remove(content.providerFileId, signal);
  }
  // An object that was there before us, and was taken in by a backfill, is not ours to remove.
  if (contentIdOfKey(content.storageKey) === null) return true;
  await places.storage.remove(content.storageKey, signal);
  return true;
}
