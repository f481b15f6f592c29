import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile, withFileLock } from "../base/atomic-file.ts";
import { type Clock, systemClock, type Timer } from "../base/clock.ts";
import { codeOf, toError } from "../base/errors.ts";
import { type Logger, silentLogger } from "../base/logger.ts";
import type {
  FlagAnswer,
  FlagChange,
  FlagControl,
  FlagFreshness,
  FlagProblem,
  FlagSource,
  FlagState,
} from "../migration/flags.ts";
import { migrationOf } from "../migration/operation.ts";
import { bucketOf } from "./bucket.ts";
import { type Evaluator, type FeatureSet, startEvaluator } from "./evaluator.ts";
import { clientFeatures, shadowFlagOf } from "./features.ts";
import type { OperationFlag } from "./flag-file.ts";
import { FlagFolder } from "./flag-folder.ts";
import {
  baseOf,
  effective,
  type Overlay,
  type OverlayEntry,
  parseOverlay,
  printOverlay,
} from "./overlay.ts";
import { parsePercentage } from "./percentage.ts";
import { heldFlag, offFlag, unknownFlag } from "./static-flags.ts";

/** Where flag files live, and how closely they are watched. */
export interface FileFlagsOptions {
  /** The folder of flag files, one JSON file for each flag. */
  readonly folder: string;
  /** Where run-time state is kept (`flags-state.json`). Without it the flags can only be read. */
  readonly stateFolder?: string;
  /** How often the files are looked at, in milliseconds; default 500. */
  readonly pollMs?: number;
  /** After how many milliseconds without a successful look flags count as stale; default 30,000. */
  readonly staleMs?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/**
 * Flags from a folder of JSON files, judged by the real Unleash SDK without a server. An edit takes
 * effect within `pollMs`. A file that becomes invalid keeps its last good content and is listed under
 * `problems()`. What is set at run time, such as a rollback, lives in `stateFolder` and beats the file.
 *
 * `ready()` rejects for what waiting cannot mend: `FLAGS_FOLDER_UNREADABLE`, `FLAGS_PACKAGE_MISSING`.
 */
export function fileFlags(options: FileFlagsOptions | string): FlagSource {
  return new FileFlags(typeof options === "string" ? { folder: options } : options);
}

class FileFlags implements FlagSource {
  readonly kind = "file";
  readonly control: FlagControl | null;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #folder: FlagFolder;
  readonly #statePath: string | null;
  readonly #staleMs: number;
  readonly #pollMs: number;
  readonly #features: FeatureSet = { current: new Map() };
  #states = new Map<string, { flag: OperationFlag; origin: string }>();
  #overlay: Overlay = {};
  #overlayText = "";
  #stateProblem: FlagProblem | null = null;
  #evaluator: Evaluator | null = null;
  #revision = 0;
  #fresh: FlagFreshness = { state: "never", lastRefreshMs: null };
  #refreshedMonotonicMs = 0;
  #looking: Promise<void> | null = null;
  #ready: Promise<void> | null = null;
  #timer: Timer | null = null;
  #closed = false;

  constructor(options: FileFlagsOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#folder = new FlagFolder(options.folder);
    this.#statePath =
      options.stateFolder === undefined ? null : join(options.stateFolder, "flags-state.json");
    this.#staleMs = options.staleMs ?? 30_000;
    this.#pollMs = options.pollMs ?? 500;
    this.control = this.#statePath === null ? null : this.#makeControl(this.#statePath);
  }

  revision(): number {
    return this.#revision;
  }

  freshness(monotonicMs: number = this.#clock.monotonicMs()): FlagFreshness {
    const ageMs = monotonicMs - this.#refreshedMonotonicMs;
    // Asked for every call: the usual answer is one object until the next look.
    if (this.#fresh.lastRefreshMs === null || ageMs <= this.#staleMs) return this.#fresh;
    return { state: "stale", lastRefreshMs: this.#fresh.lastRefreshMs };
  }

  answer(operation: string, key: string): FlagAnswer {
    if (this.#evaluator === null || this.#stateProblem !== null) {
      return { candidate: false, shadow: false };
    }
    return {
      candidate: this.#evaluator.isEnabled(operation, key),
      shadow: this.#evaluator.isEnabled(shadowFlagOf(operation), key),
    };
  }

  bucket(operation: string, key: string): number | null {
    const groupId = this.#states.get(operation)?.flag.groupId;
    return groupId === undefined ? null : bucketOf(groupId, key);
  }

  state(operation: string): FlagState | null {
    const state = this.#states.get(operation);
    if (state === undefined) return null;
    const { enabled, percentage, shadowPercentage } = state.flag;
    const parent = this.#features.current.get(migrationOf(operation));
    const on = enabled && (parent?.enabled ?? true);
    return { operation, enabled: on, percentage, shadowPercentage, origin: state.origin };
  }

  problems(): readonly FlagProblem[] {
    const own = this.#stateProblem === null ? [] : [this.#stateProblem];
    return [...this.#folder.problems, ...own];
  }

  ready(): Promise<void> {
    this.#ready ??= this.#start();
    return this.#ready;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#looking;
    this.#evaluator?.close();
  }

  async #start(): Promise<void> {
    this.#evaluator = await startEvaluator(this.#features);
    await this.#folder.check();
    await this.#look();
    if (!this.#closed) this.#timer = this.#clock.every(this.#pollMs, () => void this.#look());
  }

  /** Looks once; calls that come while it looks share the look. Never rejects. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  /** A look that begins now: one that is under way may have read the files too early. */
  async #lookAgain(): Promise<void> {
    await this.#looking;
    await this.#look();
  }

  async #lookNow(): Promise<void> {
    try {
      const filesChanged = await this.#folder.look();
      const overlayChanged = await this.#readOverlay();
      if (filesChanged || overlayChanged || this.#fresh.state === "never") this.#rebuild();
      this.#fresh = { state: "fresh", lastRefreshMs: this.#clock.now() };
      this.#refreshedMonotonicMs = this.#clock.monotonicMs();
    } catch (error) {
      this.#logger.warn({ err: error }, "Flag files could not be read; the last good ones stay");
    }
  }

  async #readOverlay(): Promise<boolean> {
    if (this.#statePath === null) return false;
    const text = await readFile(this.#statePath, "utf8").catch((error: unknown) => {
      if (codeOf(error) === "ENOENT") return "";
      throw error;
    });
    if (text === this.#overlayText) return false;
    this.#overlayText = text;
    try {
      this.#overlay = text === "" ? {} : parseOverlay(this.#statePath, text);
      this.#stateProblem = null;
    } catch (error) {
      this.#stateProblem = { subject: this.#statePath, message: toError(error).message };
      this.#logger.error({ err: error }, "Flag state is invalid; every flag is treated as off");
    }
    return true;
  }

  #rebuild(): void {
    const states = new Map<string, { flag: OperationFlag; origin: string }>();
    for (const flag of this.#folder.operations) {
      states.set(flag.name, effective(flag, this.#overlay[flag.name]));
    }
    const operations = [...states.values()].map((state) => state.flag);
    const features = clientFeatures([...this.#folder.migrations, ...operations]);
    this.#features.current = new Map(features.map((feature) => [feature.name, feature]));
    this.#states = states;
    this.#revision += 1;
  }

  #makeControl(statePath: string): FlagControl {
    const change = (
      operation: string,
      reason: FlagChange,
      next: (now: OverlayEntry) => OverlayEntry,
    ): Promise<FlagState> =>
      withFileLock(statePath, this.#clock, async () => {
        await this.#lookAgain();
        const flag = this.#folder.operations.find((each) => each.name === operation);
        if (flag === undefined) throw unknownFlag(operation, this.#states.keys());
        const present = this.#states.get(operation)?.flag ?? flag;
        const held = this.#overlay[operation]?.kind === "rollback";
        const now: OverlayEntry = {
          ...baseOf(present),
          kind: held ? "rollback" : "set",
          base: baseOf(flag),
          ...reason,
          at: new Date(this.#clock.now()).toISOString(),
        };
        await replaceFile(statePath, printOverlay({ ...this.#overlay, [operation]: next(now) }));
        // Read back: what is reported is what the next reader of the file sees.
        await this.#lookAgain();
        return this.control?.read(operation) ?? Promise.reject(unknownFlag(operation, []));
      });
    return {
      read: (operation) => {
        const state = this.state(operation);
        return state === null
          ? Promise.reject(unknownFlag(operation, this.#states.keys()))
          : Promise.resolve(state);
      },
      setPercentage: async (operation, value, reason, { mayEnable = true } = {}) => {
        const percentage = parsePercentage(value);
        return change(operation, reason, (now) => {
          if (now.kind === "rollback" && percentage > 0) throw heldFlag(operation);
          if (!now.enabled && !mayEnable) {
            if (percentage > 0) throw offFlag(operation);
            return { ...now, percentage };
          }
          return { ...now, enabled: true, percentage };
        });
      },
      setShadow: async (operation, value, reason) => {
        const shadowPercentage = parsePercentage(value);
        return change(operation, reason, (now) => ({ ...now, shadowPercentage }));
      },
      switchOff: (operation, reason) =>
        change(operation, reason, (now) => ({
          ...now,
          kind: "rollback",
          enabled: false,
          percentage: 0,
        })),
      releaseHold: (operation, reason) =>
        change(operation, reason, (now) => ({ ...now, kind: "set" })),
    };
  }
}
