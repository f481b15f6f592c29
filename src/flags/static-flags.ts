import { CodedError } from "../base/errors.ts";
import type {
  FlagAnswer,
  FlagControl,
  FlagFreshness,
  FlagSource,
  FlagState,
} from "../migration/flags.ts";
import { migrationOf } from "../migration/operation.ts";
import { bucketOf, inCohort } from "./bucket.ts";
import { parsePercentage } from "./percentage.ts";

/** A percentage, or a percentage with a share of shadowed calls. */
export type StaticFlag = number | { readonly percentage: number; readonly shadow?: number };

interface Entry {
  enabled: boolean;
  percentage: number;
  shadowPercentage: number;
  origin: string;
  held: boolean;
}

/**
 * Flags that live in the process, by operation name: `staticFlags({ "image.resize": 10 })`. They need no
 * server and forget what was changed. Keys fall into the same buckets as with Unleash. An operation that
 * is not listed is served by legacy. Throws `FLAGS_INVALID_PERCENTAGE`.
 */
export function staticFlags(flags: Readonly<Record<string, StaticFlag>> = {}): FlagSource {
  return new StaticFlags(flags);
}

class StaticFlags implements FlagSource {
  readonly kind = "static";
  readonly control: FlagControl;
  readonly #entries = new Map<string, Entry>();
  #revision = 1;

  constructor(flags: Readonly<Record<string, StaticFlag>>) {
    for (const [operation, flag] of Object.entries(flags)) {
      const { percentage, shadow = 0 } = typeof flag === "number" ? { percentage: flag } : flag;
      this.#entries.set(operation, {
        enabled: true,
        percentage: parsePercentage(percentage),
        shadowPercentage: parsePercentage(shadow),
        origin: "static",
        held: false,
      });
    }
    this.control = this.#makeControl();
  }

  revision(): number {
    return this.#revision;
  }

  freshness(): FlagFreshness {
    return { state: "fresh", lastRefreshMs: null };
  }

  answer(operation: string, key: string): FlagAnswer {
    const entry = this.#entries.get(operation);
    if (entry === undefined) return { candidate: false, shadow: false };
    const group = migrationOf(operation);
    return {
      candidate: entry.enabled && inCohort(group, key, entry.percentage),
      shadow: inCohort(`${group}.shadow`, key, entry.shadowPercentage),
    };
  }

  bucket(operation: string, key: string): number | null {
    return this.#entries.has(operation) ? bucketOf(migrationOf(operation), key) : null;
  }

  state(operation: string): FlagState | null {
    const entry = this.#entries.get(operation);
    if (entry === undefined) return null;
    const { enabled, percentage, shadowPercentage, origin } = entry;
    return { operation, enabled, percentage, shadowPercentage, origin };
  }

  problems(): readonly [] {
    return [];
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #makeControl(): FlagControl {
    const change = (operation: string, apply: (entry: Entry) => void): Promise<FlagState> => {
      const entry = this.#entries.get(operation);
      if (entry === undefined) return Promise.reject(unknownFlag(operation, this.#entries.keys()));
      apply(entry);
      this.#revision += 1;
      return this.control.read(operation);
    };
    return {
      read: (operation) => {
        const state = this.state(operation);
        if (state === null) return Promise.reject(unknownFlag(operation, this.#entries.keys()));
        return Promise.resolve(state);
      },
      setPercentage: async (operation, percentage, { by }, { mayEnable = true } = {}) => {
        const value = parsePercentage(percentage);
        return change(operation, (entry) => {
          if (entry.held && value > 0) throw heldFlag(operation);
          if (!entry.enabled && !mayEnable) {
            if (value > 0) throw offFlag(operation);
            entry.percentage = 0;
            return;
          }
          Object.assign(entry, { enabled: true, percentage: value, origin: `set by ${by}` });
        });
      },
      setShadow: async (operation, percentage) => {
        const shadowPercentage = parsePercentage(percentage);
        return change(operation, (entry) => Object.assign(entry, { shadowPercentage }));
      },
      switchOff: (operation, { by }) =>
        change(operation, (entry) =>
          Object.assign(entry, {
            enabled: false,
            percentage: 0,
            origin: `switched off by ${by}`,
            held: true,
          }),
        ),
      releaseHold: (operation) =>
        change(operation, (entry) => Object.assign(entry, { held: false })),
    };
  }
}

/** `FLAGS_UNKNOWN`, naming the flags there are. */
export function unknownFlag(operation: string, known: Iterable<string>): CodedError {
  return new CodedError(
    "FLAGS_UNKNOWN",
    `There is no flag for "${operation}". Known: ${[...known].join(", ") || "none"}.`,
    { status: 404, details: { operation } },
  );
}

/** `FLAGS_HELD`: a rollback holds the flag at 0 %. */
export function heldFlag(operation: string): CodedError {
  return new CodedError(
    "FLAGS_HELD",
    `A rollback holds "${operation}" at 0 %. Re-arm it first (changeover rearm ${operation}), then set its percentage.`,
    { status: 409, details: { operation } },
  );
}

/** `FLAGS_OFF`: only a person's command switches a flag on. */
export function offFlag(operation: string): CodedError {
  return new CodedError(
    "FLAGS_OFF",
    `The flag of "${operation}" is off, and only a person switches it on (changeover rollout start ${operation}, or changeover flags set).`,
    { status: 409, details: { operation } },
  );
}
