import { CodedError, codeOf, toError } from "../../base/errors.ts";
import type { Catalog, VerifiedContent } from "../catalog/catalog.ts";
import type { ErrorProvider } from "../provider-errors.ts";
import type { Provider } from "../providers/provider.ts";
import type { ListedObject, ObjectListing } from "../storage/object-storage.ts";
import type { Inventory, ProviderListing } from "./comparison.ts";

/** Where an inventory is taken. */
export interface InventoryPlaces {
  readonly catalog: Catalog;
  readonly storage: ObjectListing;
  readonly providers: readonly Provider[];
  /** False: what providers have is not looked at, and nothing is said about it. */
  readonly withProviders: boolean;
  /** Purposes that are looked at at a provider beside those that rows name. */
  readonly purposes: Readonly<Partial<Record<ErrorProvider, readonly string[]>>>;
}

/** What could not be looked at, and why. */
export interface Unchecked {
  readonly provider: ErrorProvider;
  readonly purpose: string;
  readonly reason: string;
}

/** An inventory, and what is missing from it. */
export interface TakenInventory {
  readonly inventory: Inventory;
  readonly unchecked: readonly Unchecked[];
}

/** How taking it goes. */
export interface InventoryWatch {
  readonly signal: AbortSignal;
  /** Rows, objects and provider files at most; beyond it `FILES_VERIFY_TOO_LARGE`. */
  readonly itemsMax: number;
  /** Told how many have been read so far. */
  readonly read: (items: number) => void;
}

/** Rows of one page. */
const PAGE = 500;

/**
 * Reads all rows, the list of all objects and the lists of the providers. A provider that cannot be
 * asked is left out and named; rows and objects must be there.
 */
export async function takeInventory(
  places: InventoryPlaces,
  watch: InventoryWatch,
): Promise<TakenInventory> {
  let items = 0;
  const count = (): void => {
    items += 1;
    if (items > watch.itemsMax) throw tooLarge(watch.itemsMax);
    if (items % 1000 === 0) watch.read(items);
  };
  const contents: VerifiedContent[] = [];
  for await (const content of allContents(places.catalog, watch.signal)) {
    count();
    contents.push(content);
  }
  const objects: ListedObject[] = [];
  for await (const object of places.storage.list("", watch.signal)) {
    count();
    objects.push(object);
  }
  const listings: ProviderListing[] = [];
  const unchecked: Unchecked[] = [];
  for (const { provider, purpose } of wantedLists(places, contents)) {
    const client = places.providers.find(({ name }) => name === provider);
    if (client === undefined) {
      unchecked.push({ provider, purpose, reason: "it is not set up" });
      continue;
    }
    try {
      const files = await client.list(purpose, watch.signal);
      for (const _file of files) count();
      listings.push({ provider, purpose, files });
    } catch (error) {
      watch.signal.throwIfAborted();
      if (codeOf(error) === TOO_LARGE) throw error;
      unchecked.push({ provider, purpose, reason: toError(error).message });
    }
  }
  watch.read(items);
  return { inventory: { contents, objects, listings }, unchecked };
}

async function* allContents(
  catalog: Catalog,
  signal: AbortSignal,
): AsyncGenerator<VerifiedContent, void, void> {
  for (let after: string | null = null; ; ) {
    const page: readonly VerifiedContent[] = await catalog.listContents(
      { after, limit: PAGE },
      signal,
    );
    yield* page;
    after = page.at(-1)?.id ?? null;
    if (page.length < PAGE || after === null) return;
  }
}

/** Each provider with each purpose that it knows, or that a row names. */
function wantedLists(
  { providers, purposes, withProviders }: InventoryPlaces,
  contents: readonly VerifiedContent[],
): { readonly provider: ErrorProvider; readonly purpose: string }[] {
  if (!withProviders) return [];
  const wanted = new Map<string, { provider: ErrorProvider; purpose: string }>();
  const want = (provider: ErrorProvider, purpose: string): void => {
    wanted.set(`${provider}/${purpose}`, { provider, purpose });
  };
  for (const { name } of providers) {
    for (const purpose of purposes[name] ?? []) want(name, purpose);
  }
  for (const { provider, purpose } of contents) if (provider !== "none") want(provider, purpose);
  return [...wanted.values()];
}

const TOO_LARGE = "FILES_VERIFY_TOO_LARGE";

function tooLarge(itemsMax: number): CodedError {
  return new CodedError(
    "FILES_VERIFY_TOO_LARGE",
    `There are more than ${itemsMax} rows, objects and provider files, which verify would hold in memory. Raise its limit where there is memory for it (about 500 bytes each).`,
    { status: 507, details: { itemsMax } },
  );
}
