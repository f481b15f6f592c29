import type { Catalog } from "../../catalog/catalog.ts";
import type { Provider } from "../provider.ts";
import type { KnownFiles } from "./sent-once.ts";

/** Ids asked about at once; more than a few would mean that a name and a size are very common. */
const ASKED_AT_ONCE = 8;

/**
 * Which files of a provider our own rows know: after a lost reply, those belong to other uploads, of
 * this process or of another one, and are not adopted.
 */
export function knownFilesIn(
  catalog: Pick<Catalog, "hasProviderFile">,
  provider: Provider["name"],
): KnownFiles {
  return async (ids, signal) => {
    const known = new Set<string>();
    for (let start = 0; start < ids.length; start += ASKED_AT_ONCE) {
      const some = ids.slice(start, start + ASKED_AT_ONCE);
      const answers = await Promise.all(
        some.map((providerFileId) => catalog.hasProviderFile({ provider, providerFileId }, signal)),
      );
      for (const [index, id] of some.entries()) if (answers[index] === true) known.add(id);
    }
    return known;
  };
}
