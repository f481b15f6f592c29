import type { Clock } from "../../../base/clock.ts";
import { bytesText } from "../../errors.ts";
import { providerQuota } from "../../provider-errors.ts";
import type { ProviderProfile } from "../profiles.ts";
import type { Provider, ProviderFile } from "../provider.ts";
import { untilAborted } from "./until-aborted.ts";

/** What a quota allows and what of it is used; null where nothing is documented. */
export interface QuotaUse {
  /** The purpose it is for; null when it is for all together. */
  readonly purpose: string | null;
  readonly files: number;
  readonly filesMax: number | null;
  readonly bytes: number;
  readonly bytesMax: number | null;
  /** When it was last counted at the provider, in milliseconds since 1970. */
  readonly countedMs: number;
}

/** Why one more file of so many bytes does not fit, or null. Pure. */
export function quotaProblem(use: QuotaUse, sizeBytes: number): string | null {
  const { purpose, files, filesMax, bytes, bytesMax } = use;
  const of = purpose === null ? "" : ` of purpose ${purpose}`;
  if (filesMax !== null && files + 1 > filesMax) {
    return `${files} of at most ${filesMax} files${of} are there`;
  }
  if (bytesMax !== null && bytes + sizeBytes > bytesMax) {
    return `${bytesText(bytes)} of at most ${bytesText(bytesMax)} are used, and the file has ${bytesText(sizeBytes)}`;
  }
  return null;
}

/** What a {@link QuotaBook} needs. */
export interface QuotaBookOptions {
  readonly profile: ProviderProfile;
  readonly provider: Pick<Provider, "name" | "counted">;
  readonly clock: Clock;
  /** How long a count is good for, in milliseconds. */
  readonly ttlMs: number;
  /** Lower limits than the documented ones, where an account has them. */
  readonly maxFiles: number | null;
  readonly maxTotalBytes: number | null;
  /** Told when a count failed; uploads then go on, and the provider has the last word. */
  readonly onUncounted: (error: unknown) => void;
}

/** A full account, or one that could not be counted, is counted again at most this often, in ms. */
const RECOUNT_MS = 1000;

interface Account {
  use: QuotaUse | null;
  /** When it was tried to count last. */
  triedMs: number | null;
  /** Uploads under way: they are not in the count yet. */
  pendingFiles: number;
  pendingBytes: number;
  counting: Promise<void> | null;
}

/** Room for one upload, taken until it is known what became of it. */
export interface QuotaPlace {
  /** The file is at the provider now. */
  keep(): void;
  /** It is not; after `keep` this does nothing. */
  release(): void;
}

/**
 * Knows how many files and bytes an account holds, so that an upload over a quota is refused before a
 * byte of it is sent. The count comes from the provider's own list and is kept for a while; it is taken
 * anew before anything is refused.
 */
export class QuotaBook {
  readonly #options: QuotaBookOptions;
  readonly #accounts = new Map<string, Account>();

  constructor(options: QuotaBookOptions) {
    this.#options = options;
  }

  /** What is known of every quota that was counted so far. */
  get uses(): readonly QuotaUse[] {
    return [...this.#accounts.values()].flatMap(({ use }) => (use === null ? [] : [use]));
  }

  /** The quota that files of this purpose count against; null when it was not counted yet. */
  use(purpose: string): QuotaUse | null {
    return this.#accounts.get(this.#keyOf(purpose))?.use ?? null;
  }

  /** Takes room for a file, or throws `FILES_PROVIDER_QUOTA`. */
  async take(purpose: string, sizeBytes: number, signal: AbortSignal): Promise<QuotaPlace> {
    const account = this.#accountOf(purpose);
    if (this.#limitsOf(purpose).isLimited) {
      const ageMs = account.use === null ? RECOUNT_MS : this.#options.ttlMs;
      if (account.counting !== null || this.#isOlderThan(ageMs, account)) {
        await this.#count(account, purpose, signal);
      }
      if (this.#problem(account, sizeBytes) !== null && this.#isOlderThan(RECOUNT_MS, account)) {
        await this.#count(account, purpose, signal);
      }
      const problem = this.#problem(account, sizeBytes);
      if (problem !== null) throw this.#refusal(problem, account.use);
    }
    return this.#place(account, sizeBytes);
  }

  #place(account: Account, sizeBytes: number): QuotaPlace {
    account.pendingFiles += 1;
    account.pendingBytes += sizeBytes;
    let isOpen = true;
    const close = (isKept: boolean): void => {
      if (!isOpen) return;
      isOpen = false;
      account.pendingFiles -= 1;
      account.pendingBytes -= sizeBytes;
      if (!isKept || account.use === null) return;
      const { files, bytes } = account.use;
      account.use = { ...account.use, files: files + 1, bytes: bytes + sizeBytes };
    };
    return { keep: () => close(true), release: () => close(false) };
  }

  #problem({ use, pendingFiles, pendingBytes }: Account, sizeBytes: number): string | null {
    if (use === null) return null;
    const { files, bytes } = use;
    const withPending = { ...use, files: files + pendingFiles, bytes: bytes + pendingBytes };
    return quotaProblem(withPending, sizeBytes);
  }

  #refusal(problem: string, use: QuotaUse | null): Error {
    const { name: provider } = this.#options.provider;
    const reason = `${problem}, as its list says; nothing was sent`;
    const { files, filesMax, bytes, bytesMax } = use ?? {};
    const facts = { files, filesMax, bytes, bytesMax };
    return providerQuota({ provider, during: "making room for a file", reason, facts });
  }

  async #count(account: Account, purpose: string, signal: AbortSignal): Promise<void> {
    account.counting ??= this.#countNow(account, purpose).finally(() => {
      account.counting = null;
    });
    await untilAborted(signal, account.counting);
  }

  /** Shared by several uploads, so that no one's patience ends it; the provider's own limit does. */
  async #countNow(account: Account, purpose: string): Promise<void> {
    const { provider, clock, onUncounted } = this.#options;
    const { filesMax, bytesMax } = this.#limitsOf(purpose);
    account.triedMs = clock.now();
    try {
      const listed = await provider.counted(purpose, new AbortController().signal);
      account.use = {
        purpose: this.#isShared ? null : purpose,
        files: listed.length,
        filesMax,
        bytes: bytesOf(listed),
        bytesMax,
        countedMs: clock.now(),
      };
    } catch (error) {
      // A count that nobody can take is no reason to refuse: the provider holds its limits itself.
      onUncounted(error);
    }
  }

  #isOlderThan(ms: number, { triedMs }: Account): boolean {
    return triedMs === null || this.#options.clock.now() - triedMs >= ms;
  }

  /** Limits over all purposes make one account of them. */
  get #isShared(): boolean {
    const { maxFilesInAll, maxTotalBytes } = this.#options.profile;
    return maxFilesInAll !== null || maxTotalBytes !== null;
  }

  #limitsOf(purpose: string): {
    readonly filesMax: number | null;
    readonly bytesMax: number | null;
    readonly isLimited: boolean;
  } {
    const { profile, maxFiles, maxTotalBytes } = this.#options;
    const ofPurpose = Object.hasOwn(profile.purposes, purpose) ? profile.purposes[purpose] : null;
    const documented = this.#isShared ? profile.maxFilesInAll : (ofPurpose?.maxFiles ?? null);
    const filesMax = smaller(documented, maxFiles);
    const bytesMax = smaller(profile.maxTotalBytes, maxTotalBytes);
    return { filesMax, bytesMax, isLimited: filesMax !== null || bytesMax !== null };
  }

  #keyOf(purpose: string): string {
    return this.#isShared ? "" : purpose;
  }

  #accountOf(purpose: string): Account {
    const key = this.#keyOf(purpose);
    const known = this.#accounts.get(key);
    if (known !== undefined) return known;
    const account: Account = {
      use: null,
      triedMs: null,
      pendingFiles: 0,
      pendingBytes: 0,
      counting: null,
    };
    this.#accounts.set(key, account);
    return account;
  }
}

function smaller(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}

const bytesOf = (files: readonly ProviderFile[]): number =>
  files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
