import { createHash } from "node:crypto";
import pLimit from "p-limit";
import type { Clock } from "../../base/clock.ts";
import { codeOf, toError } from "../../base/errors.ts";
import type { Catalog, VerifiedContent } from "../catalog/catalog.ts";
import type { Provider } from "../providers/provider.ts";
import { Rate } from "../retry/rate.ts";
import type { ObjectListing, ObjectStorage } from "../storage/object-storage.ts";
import {
  compareInventory,
  differingObject,
  type Finding,
  type FindingKind,
  findingTable,
  inTableOrder,
  missingObject,
  unreadableObject,
} from "./comparison.ts";
import { isStillSo } from "./confirmation.ts";
import { type InventoryPlaces, takeInventory, type Unchecked } from "./inventory.ts";
import { removeLeftOver } from "./repair.ts";

/** What a verification works on. */
export interface VerificationParts {
  readonly catalog: Catalog;
  readonly storage: ObjectStorage & ObjectListing;
  readonly providers: readonly Provider[];
  readonly purposes: InventoryPlaces["purposes"];
  readonly withProviders: boolean;
  readonly clock: Clock;
}

/** How far a verification is. */
export interface VerifyProgress {
  readonly phase: "reading" | "hashing" | "confirming" | "removing";
  readonly done: number;
  /** Null while nobody knows. */
  readonly total: number | null;
}

/** How to verify. */
export interface VerifyOptions {
  /** Read all stored bytes and compare their SHA-256. Default false: sizes only. */
  readonly hash?: boolean;
  /** Remove what is left over and older than the grace period. Default false: only report it. */
  readonly fix?: boolean;
  /** Milliseconds; what is younger may belong to a running upload. Default 24 hours. */
  readonly graceMs?: number;
  /** Stored bytes that `hash` reads in a second, all objects together; default: as fast as they come. */
  readonly bytesPerSecond?: number;
  /** Objects read, or findings looked at again, at once; default 4. */
  readonly concurrency?: number;
  /** Rows, objects and provider files at most; default 2,000,000. */
  readonly itemsMax?: number;
  readonly progress?: (progress: VerifyProgress) => void;
  readonly signal?: AbortSignal;
}

/** A finding and what became of it. */
export interface ReportedFinding extends Finding {
  readonly isLeftOver: boolean;
  readonly result: "open" | "removed" | "failed";
  /** Why it could not be removed. */
  readonly reason: string | null;
}

/** What a verification found. */
export interface VerifyReport {
  /** Nothing is wrong any more, and everything could be looked at. */
  readonly ok: boolean;
  readonly contents: number;
  readonly objects: number;
  readonly providerFiles: number;
  /** Stored bytes that were read and compared; 0 without `hash`. */
  readonly hashedBytes: number;
  /** Left-overs younger than the grace period. */
  readonly young: number;
  /** Objects of the bucket that are not named as ours are. */
  readonly foreign: number;
  readonly unchecked: readonly Unchecked[];
  readonly counts: Readonly<Record<FindingKind, number>>;
  readonly findings: readonly ReportedFinding[];
}

const leftOver = new Map(findingTable.map(({ kind, isLeftOver }) => [kind, isLeftOver]));

/**
 * Compares what rows say with what storage and the providers have. Every finding is looked at twice,
 * because files come and go meanwhile. Rejects with `FILES_BACKEND_…`, `FILES_VERIFY_TOO_LARGE`, or the
 * signal's reason; a provider that cannot be asked is reported in `unchecked`.
 */
export async function verifyFiles(
  parts: VerificationParts,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const run = new Verification(parts, options);
  return run.report();
}

class Verification {
  readonly #parts: VerificationParts;
  readonly #options: VerifyOptions;
  readonly #signal: AbortSignal;
  #hashedBytes = 0;

  constructor(parts: VerificationParts, options: VerifyOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#signal = options.signal ?? new AbortController().signal;
  }

  async report(): Promise<VerifyReport> {
    const { itemsMax = 2_000_000, graceMs = 24 * 3_600_000, hash, fix } = this.#options;
    const { inventory, unchecked } = await takeInventory(this.#parts, {
      signal: this.#signal,
      itemsMax,
      read: (done) => this.#tell("reading", done, null),
    });
    const { contents, objects, listings } = inventory;
    const nowMs = this.#parts.clock.now();
    const compared = compareInventory(inventory, { nowMs, graceMs });
    const wrong = new Set(compared.findings.map(({ subject }) => subject));
    const whole = contents.filter(({ storageKey }) => !wrong.has(storageKey));
    const hashed = hash === true ? await this.#hash(whole) : [];
    const confirmed = await this.#confirm(inTableOrder([...compared.findings, ...hashed]));
    const findings = await this.#fix(confirmed, fix === true);
    const isOpen = findings.some(({ result }) => result !== "removed");
    return {
      ok: !isOpen && unchecked.length === 0,
      contents: contents.length,
      objects: objects.length,
      providerFiles: listings.reduce((sum, { files }) => sum + files.length, 0),
      hashedBytes: this.#hashedBytes,
      young: compared.young,
      foreign: compared.foreign,
      unchecked,
      counts: countsOf(findings),
      findings,
    };
  }

  async #hash(contents: readonly VerifiedContent[]): Promise<Finding[]> {
    const { bytesPerSecond } = this.#options;
    const rate = bytesPerSecond === undefined ? null : new Rate(bytesPerSecond, this.#parts.clock);
    const found = await this.#each("hashing", contents, (content) =>
      this.#damageOf(content, rate, 2),
    );
    return found.filter((finding) => finding !== null);
  }

  /** What is wrong with the bytes of one content; `tries` until they count as unreadable. */
  async #damageOf(
    content: VerifiedContent,
    rate: Rate | null,
    tries: number,
  ): Promise<Finding | null> {
    try {
      const actual = await this.#sha256Of(content.storageKey, rate);
      if (actual === null) return missingObject(content, "no bytes");
      return actual === content.sha256 ? null : differingObject(content, `SHA-256 ${actual}`);
    } catch (error) {
      this.#signal.throwIfAborted();
      if (tries > 1) return this.#damageOf(content, rate, tries - 1);
      // Throws when the whole storage does not answer: that is not a finding about this object.
      await this.#parts.storage.head(content.storageKey, this.#signal);
      return unreadableObject(content, codeOf(error) ?? toError(error).message);
    }
  }

  async #sha256Of(key: string, rate: Rate | null): Promise<string | null> {
    const body = await this.#parts.storage.get(key, null, this.#signal);
    if (body === null) return null;
    const hash = createHash("sha256");
    for await (const chunk of body) {
      hash.update(chunk as Buffer);
      this.#hashedBytes += (chunk as Buffer).length;
      await rate?.pass((chunk as Buffer).length, this.#signal);
    }
    return hash.digest("hex");
  }

  async #confirm(findings: readonly Finding[]): Promise<Finding[]> {
    const still = await this.#each("confirming", findings, async (finding) =>
      (await isStillSo(this.#parts, finding, this.#signal)) ? finding : null,
    );
    return still.filter((finding) => finding !== null);
  }

  async #fix(findings: readonly Finding[], removes: boolean): Promise<ReportedFinding[]> {
    const reported = findings.map(
      (finding): ReportedFinding => ({
        ...finding,
        isLeftOver: leftOver.get(finding.kind) === true,
        result: "open",
        reason: null,
      }),
    );
    if (!removes) return reported;
    return this.#each("removing", reported, async (finding) => {
      if (!finding.isLeftOver) return finding;
      try {
        // Removed by somebody else meanwhile is removed all the same.
        await removeLeftOver(this.#parts, finding, this.#signal);
        return { ...finding, result: "removed" };
      } catch (error) {
        this.#signal.throwIfAborted();
        return { ...finding, result: "failed", reason: toError(error).message };
      }
    });
  }

  /** Does `work` for every item, some at once, and answers in their order. */
  async #each<T, R>(
    phase: VerifyProgress["phase"],
    items: readonly T[],
    work: (item: T) => Promise<R>,
  ): Promise<R[]> {
    const limit = pLimit(this.#options.concurrency ?? 4);
    let done = 0;
    return limit.map(items, async (item) => {
      this.#signal.throwIfAborted();
      const result = await work(item);
      done += 1;
      this.#tell(phase, done, items.length);
      return result;
    });
  }

  #tell(phase: VerifyProgress["phase"], done: number, total: number | null): void {
    this.#options.progress?.({ phase, done, total });
  }
}

function countsOf(findings: readonly Finding[]): Readonly<Record<FindingKind, number>> {
  const counts = Object.fromEntries(findingTable.map(({ kind }) => [kind, 0])) as Record<
    FindingKind,
    number
  >;
  for (const { kind } of findings) counts[kind] += 1;
  return counts;
}
