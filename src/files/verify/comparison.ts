import type { VerifiedContent } from "../catalog/catalog.ts";
import type { ErrorProvider } from "../provider-errors.ts";
import type { ProviderFile } from "../providers/provider.ts";
import type { ListedObject } from "../storage/object-storage.ts";

/** What can be wrong between rows, stored bytes and provider files. */
export type FindingKind =
  | "missing-object"
  | "differing-object"
  | "unreadable-object"
  | "orphaned-object"
  | "missing-provider-file"
  | "differing-provider-file"
  | "orphaned-provider-file"
  | "unused-content";

/** What a kind of finding means, and whether removing it is safe. */
export interface FindingRow {
  readonly kind: FindingKind;
  readonly meaning: string;
  /** Nobody needs what was found: it may be removed once it is older than the grace period. */
  readonly isLeftOver: boolean;
}

/** Every kind of finding, the ones that cost data first. */
export const findingTable: readonly FindingRow[] = [
  { kind: "missing-object", meaning: "a content has no stored bytes", isLeftOver: false },
  { kind: "differing-object", meaning: "stored bytes are not those of the row", isLeftOver: false },
  {
    kind: "unreadable-object",
    meaning: "stored bytes cannot be read to their end",
    isLeftOver: false,
  },
  { kind: "missing-provider-file", meaning: "the provider lost a file", isLeftOver: false },
  {
    kind: "differing-provider-file",
    meaning: "the provider's file has another size",
    isLeftOver: false,
  },
  { kind: "unused-content", meaning: "no file points at a content", isLeftOver: true },
  { kind: "orphaned-object", meaning: "stored bytes have no row", isLeftOver: true },
  { kind: "orphaned-provider-file", meaning: "a provider's file has no row", isLeftOver: true },
];

/** One thing that is wrong. */
export interface Finding {
  readonly kind: FindingKind;
  /** The object's key, or the provider's id of its file. */
  readonly subject: string;
  /** The content it belongs to; of an orphaned object the one it was made for. Null where none is known. */
  readonly contentId: string | null;
  readonly provider: ErrorProvider | null;
  readonly purpose: string | null;
  /** What is expected and what is there. */
  readonly detail: string;
  readonly sizeBytes: number;
}

/** The files of one provider for one purpose. */
export interface ProviderListing {
  readonly provider: ErrorProvider;
  readonly purpose: string;
  readonly files: readonly ProviderFile[];
}

/** All that is compared. */
export interface Inventory {
  readonly contents: readonly VerifiedContent[];
  readonly objects: readonly ListedObject[];
  /** What providers have; what was not asked for is not compared. */
  readonly listings: readonly ProviderListing[];
}

/** What counts as left over. */
export interface ComparisonRules {
  readonly nowMs: number;
  /** Milliseconds: what is younger may belong to an upload that is still running. */
  readonly graceMs: number;
}

/** What a comparison came to. */
export interface ComparedInventory {
  readonly findings: readonly Finding[];
  /** Left-overs that are too young to be called so. */
  readonly young: number;
  /** Objects that are not named as ours are: never touched. */
  readonly foreign: number;
}

/** `<provider>/<purpose>/<first two hex digits>/<sha256>/<content id>`, see `objectKey`. */
const OWN_KEY =
  /^(kimi|glm|none)\/([^/]+)\/([0-9a-f]{2})\/([0-9a-f]{64})\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** The content that an object was stored for; null for an object that is not ours. */
export function contentIdOfKey(key: string): string | null {
  const [, , , start = "", sha256 = "", id = ""] = OWN_KEY.exec(key) ?? [];
  return id !== "" && sha256.startsWith(start) ? id : null;
}

/**
 * Compares rows with stored bytes and provider files. Pure: the same inventory gives the same findings,
 * in the order of {@link findingTable} and then of the input. Sizes are compared, bytes are not.
 */
export function compareInventory(inventory: Inventory, rules: ComparisonRules): ComparedInventory {
  const found: Finding[] = [];
  let young = 0;
  const leftOver = (finding: Finding, since: string): void => {
    if (isOld(since, rules)) found.push(finding);
    else young += 1;
  };
  const foreign = compareObjects(inventory, found, leftOver);
  compareProviderFiles(inventory, found, leftOver);
  for (const content of inventory.contents) {
    if (!content.isUsed) leftOver(unusedContent(content), content.createdAt);
  }
  return { findings: inTableOrder(found), young, foreign };
}

/** Findings in the order of {@link findingTable}; those of one kind stay as they were. */
export function inTableOrder(findings: readonly Finding[]): readonly Finding[] {
  const order = new Map(findingTable.map(({ kind }, index) => [kind, index]));
  const rank = ({ kind }: Finding): number => order.get(kind) ?? 0;
  return findings.toSorted((a, b) => rank(a) - rank(b));
}

type LeftOver = (finding: Finding, since: string) => void;

/** Answers how many objects are not ours. */
function compareObjects(
  { contents, objects }: Inventory,
  found: Finding[],
  leftOver: LeftOver,
): number {
  const byKey = new Map(objects.map((object) => [object.key, object]));
  // Two rows may name one object: a backfill under another purpose leaves the bytes where they are.
  const named = new Set(contents.map(({ storageKey }) => storageKey));
  for (const content of contents) {
    const object = byKey.get(content.storageKey);
    if (object === undefined) found.push(missingObject(content));
    else if (object.sizeBytes !== content.sizeBytes) {
      found.push(differingObject(content, `${object.sizeBytes} bytes`));
    }
  }
  let foreign = 0;
  for (const object of objects) {
    if (named.has(object.key)) continue;
    const contentId = contentIdOfKey(object.key);
    if (contentId === null) foreign += 1;
    else leftOver(orphanedObject(object, contentId), object.storedAt);
  }
  return foreign;
}

function compareProviderFiles(
  { contents, listings }: Inventory,
  found: Finding[],
  leftOver: LeftOver,
): void {
  const wanted = new Map<string, VerifiedContent>();
  for (const content of contents) {
    const { provider, providerFileId } = content;
    if (providerFileId !== null) wanted.set(`${provider}/${providerFileId}`, content);
  }
  for (const { provider, purpose, files } of listings) {
    for (const file of files) {
      const content = wanted.get(`${provider}/${file.id}`);
      if (content === undefined) {
        leftOver(orphanedProviderFile(file, provider, purpose), file.createdAt);
      } else if (file.sizeBytes !== content.sizeBytes) {
        found.push(differingProviderFile(content, file));
      }
    }
  }
  found.push(...missingProviderFiles(contents, listings));
}

/** Only where the provider was asked for files of that purpose can one be missing. */
function missingProviderFiles(
  contents: readonly VerifiedContent[],
  listings: readonly ProviderListing[],
): Finding[] {
  const there = new Map(
    listings.map(({ provider, purpose, files }) => [
      `${provider}/${purpose}`,
      new Set(files.map(({ id }) => id)),
    ]),
  );
  return contents
    .filter(({ provider, purpose, providerFileId }) => {
      const ids = there.get(`${provider}/${purpose}`);
      return ids !== undefined && (providerFileId === null || !ids.has(providerFileId));
    })
    .map(missingProviderFile);
}

function isOld(since: string, { nowMs, graceMs }: ComparisonRules): boolean {
  const sinceMs = Date.parse(since);
  // Whoever does not say how old something is gets the benefit of the doubt.
  return !Number.isNaN(sinceMs) && nowMs - sinceMs >= graceMs;
}

function ofContent(content: VerifiedContent): Omit<Finding, "kind" | "detail"> {
  const { id, storageKey, provider, purpose, sizeBytes } = content;
  return {
    subject: storageKey,
    contentId: id,
    provider: provider === "none" ? null : provider,
    purpose,
    sizeBytes,
  };
}

/** Bytes that are not there; `found` says what is there instead. */
export function missingObject(content: VerifiedContent, found = "no object"): Finding {
  const detail = `expected ${content.sizeBytes} bytes, found ${found}`;
  return { ...ofContent(content), kind: "missing-object", detail };
}

/** Bytes that broke off whenever they were read; `why` is a code or a few words. */
export function unreadableObject(content: VerifiedContent, why: string): Finding {
  const detail = `expected ${content.sizeBytes} bytes, which cannot be read to their end: ${why}`;
  return { ...ofContent(content), kind: "unreadable-object", detail };
}

/** Bytes that are not those of the row; `found` says what they are instead. */
export function differingObject(content: VerifiedContent, found: string): Finding {
  const detail = `expected ${content.sizeBytes} bytes with SHA-256 ${content.sha256}, found ${found}`;
  return { ...ofContent(content), kind: "differing-object", detail };
}

function orphanedObject(object: ListedObject, contentId: string): Finding {
  return {
    kind: "orphaned-object",
    subject: object.key,
    contentId,
    provider: null,
    purpose: null,
    detail: `stored at ${object.storedAt}, no row names it`,
    sizeBytes: object.sizeBytes,
  };
}

function unusedContent(content: VerifiedContent): Finding {
  const detail = `added at ${content.createdAt}, no file points at it`;
  return { ...ofContent(content), kind: "unused-content", detail };
}

function missingProviderFile(content: VerifiedContent): Finding {
  const detail = `expected ${content.sizeBytes} bytes at ${content.provider}, found no file`;
  const subject = content.providerFileId ?? content.storageKey;
  return { ...ofContent(content), kind: "missing-provider-file", subject, detail };
}

function differingProviderFile(content: VerifiedContent, file: ProviderFile): Finding {
  const detail = `expected ${content.sizeBytes} bytes at ${content.provider}, found ${file.sizeBytes} bytes`;
  return { ...ofContent(content), kind: "differing-provider-file", subject: file.id, detail };
}

function orphanedProviderFile(
  file: ProviderFile,
  provider: ErrorProvider,
  purpose: string,
): Finding {
  return {
    kind: "orphaned-provider-file",
    subject: file.id,
    contentId: null,
    provider,
    purpose,
    detail: `stored at ${provider} at ${file.createdAt}, no row names it`,
    sizeBytes: file.sizeBytes,
  };
}
