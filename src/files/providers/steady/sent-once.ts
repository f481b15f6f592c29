import { LRUCache } from "lru-cache";
import type { Clock } from "../../../base/clock.ts";
import { isCodedError } from "../../../base/errors.ts";
import type { Logger } from "../../../base/logger.ts";
import type { Provider, ProviderFile, ProviderUpload } from "../provider.ts";
import { findLostUpload, type LostUpload, type LostUploadFinding } from "./lost-upload.ts";
import type { LostReplies } from "./provider-status.ts";
import { SentNames } from "./sent-names.ts";

/** Which of these provider files belong to somebody already, as far as our own tables know. */
export type KnownFiles = (
  ids: readonly string[],
  signal: AbortSignal,
) => Promise<ReadonlySet<string>>;

/** What {@link SentOnce} needs. */
export interface SentOnceOptions {
  readonly provider: Pick<Provider, "name" | "list">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How far the provider's clock may be from ours, in milliseconds. */
  readonly clockSkewMs: number;
  readonly known: KnownFiles | null;
}

/** One upload, and the two ways to go about it. */
export interface OnceUpload {
  readonly upload: ProviderUpload;
  readonly signal: AbortSignal;
  /** One attempt; what it is given is what must be sent. */
  readonly send: (upload: ProviderUpload) => Promise<ProviderFile>;
  /** Repeats what it is given as the policy allows. */
  readonly repeat: (attempt: () => Promise<ProviderFile>) => Promise<ProviderFile>;
}

/** File ids that are remembered as belonging to somebody. */
const KNOWN_MAX = 10_000;

/**
 * Repeats uploads without doubling them: after a reply that never came the file is looked for at the
 * provider, adopted when it is there, and only sent again when it is not.
 */
export class SentOnce {
  readonly #options: SentOnceOptions;
  readonly #names: SentNames;
  /** Files that belong to an upload that has ended, or to nobody knows whom: never adopted. */
  readonly #known = new LRUCache<string, true>({ max: KNOWN_MAX });
  readonly #counts: Record<keyof LostReplies, number> = { adopted: 0, absent: 0, ambiguous: 0 };

  constructor(options: SentOnceOptions) {
    this.#options = options;
    const { clock, clockSkewMs } = options;
    // A file that turns up late, by a clock that is wrong, must be too old for the name's next user.
    this.#names = new SentNames(clock, 2 * clockSkewMs + 60_000);
  }

  get lostReplies(): LostReplies {
    return { ...this.#counts };
  }

  /** Throws what the last attempt threw; the lost reply itself where that is still unexplained. */
  async run({ upload, signal, send, repeat }: OnceUpload): Promise<ProviderFile> {
    const { purpose, source } = upload;
    const { sizeBytes } = source;
    const sentName = this.#names.reserve({ purpose, name: upload.name, sizeBytes });
    const sent: ProviderUpload = { ...upload, name: sentName.name };
    const lost = { name: sent.name, sizeBytes, startedMs: this.#options.clock.now() };
    let loss: unknown;
    let isOpen = false;
    const look = async (): Promise<ProviderFile | null> => {
      const file = await this.#look(purpose, lost, signal);
      loss = undefined;
      if (file !== null) isOpen = false;
      return file;
    };
    const attempt = async (): Promise<ProviderFile> => {
      const found = loss === undefined ? null : await look();
      if (found !== null) return found;
      try {
        return await send(sent);
      } catch (error) {
        isOpen ||= mayHaveArrived(error) || signal.aborted;
        if (mayHaveArrived(error)) loss = error;
        throw error;
      }
    };
    try {
      const file = await repeat(attempt);
      this.#known.set(file.id, true);
      return file;
    } catch (error) {
      if (loss === undefined || signal.aborted) throw error;
      const last = loss;
      // No more attempts, but what is there may still be the answer.
      const found = await look().catch(() => null);
      if (found === null) throw last;
      return found;
    } finally {
      sentName.release(isOpen);
    }
  }

  async #look(
    purpose: string,
    lost: LostUpload,
    signal: AbortSignal,
  ): Promise<ProviderFile | null> {
    const { provider, logger } = this.#options;
    const finding = await this.#find(purpose, lost, signal);
    if (finding.kind === "found") {
      this.#counts.adopted += 1;
      this.#known.set(finding.file.id, true);
      const fields = { provider: provider.name, providerFileId: finding.file.id };
      logger.info(fields, "An upload whose reply was lost is at the provider");
      return finding.file;
    }
    this.#counts[finding.kind] += 1;
    if (finding.kind === "ambiguous") {
      for (const id of finding.ids) this.#known.set(id, true);
      logger.warn(
        { provider: provider.name, providerFileIds: finding.ids },
        "An upload whose reply was lost cannot be told apart from others; it is sent again",
      );
    }
    return null;
  }

  async #find(purpose: string, lost: LostUpload, signal: AbortSignal): Promise<LostUploadFinding> {
    const { provider, clock, clockSkewMs, known } = this.#options;
    const listed = await provider.list(purpose, signal);
    const facts = { nowMs: clock.now(), clockSkewMs };
    const isKnown = (id: string): boolean => this.#known.has(id);
    const finding = findLostUpload(lost, listed, { ...facts, isKnown });
    if (finding.kind === "absent" || known === null) return finding;
    const ids = finding.kind === "found" ? [finding.file.id] : finding.ids;
    const taken = await known(ids, signal);
    return findLostUpload(lost, listed, {
      ...facts,
      isKnown: (id) => isKnown(id) || taken.has(id),
    });
  }
}

/** Was the file possibly taken, although the answer says otherwise or never came? */
function mayHaveArrived(error: unknown): boolean {
  return isCodedError(error) && error.retryable && error.details["effect"] === "possible";
}
