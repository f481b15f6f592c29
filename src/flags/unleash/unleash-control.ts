import { type Clock, systemClock } from "../../base/clock.ts";
import { CodedError, codeOf } from "../../base/errors.ts";
import { type Logger, silentLogger } from "../../base/logger.ts";
import { type Random, systemRandom } from "../../base/random.ts";
import type { FlagChange, FlagControl, FlagState, FlagWriteLimits } from "../../migration/flags.ts";
import { migrationOf } from "../../migration/operation.ts";
import { routingKeyProperty, shadowFlagOf } from "../features.ts";
import { heldFlag, offFlag } from "../static-flags.ts";
import { parseUnleashAddress, requireBetween, requireText } from "./address.ts";
import { AdminApi, drift } from "./admin-api.ts";
import { judgeFeature } from "./feature-verdict.ts";
import { FlagRequests } from "./flag-requests.ts";
import {
  exposureOf,
  heldTitle,
  isHeld,
  mainStrategy,
  type PatchStep,
  type RemoteEnvironment,
  rearmedTitle,
  setTitle,
  sharePatch,
  unchangedSince,
  zeroPatch,
} from "./remote-flag.ts";
import { parseShare, toStrategyShare } from "./share.ts";
import { Turns } from "./turns.ts";

/** Which flags may be changed, and how long that may take. */
export interface UnleashControlOptions {
  /** The server's address, with or without `/api`. */
  readonly url: string;
  /** A personal access token (role Editor is enough) or an admin token. */
  readonly token: string;
  /** Default `default`. */
  readonly project?: string;
  /** Default `development`. */
  readonly environment?: string;
  /** The context property that strategies must be sticky by; default `routingKey`. */
  readonly routingKey?: string;
  /** Longest that one request may take in milliseconds, 10 to 60,000; default 3,000. */
  readonly tryMs?: number;
  /** Longest that one change may be tried, in milliseconds, 10 to 600,000; default 10,000. */
  readonly deadlineMs?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Chance for the pauses between tries. */
  readonly random?: Random;
}

/** {@link UnleashControl}, as the port it implements. Throws `FLAGS_INVALID_OPTIONS`. */
export function unleashControl(options: UnleashControlOptions): UnleashControl {
  return new UnleashControl(options);
}

/**
 * Switches off every operation of a migration in one write: its kill switch. The operations' own shares
 * stay what they are, so that the kill switch may only be turned on again once each was rolled back.
 * Throws `FLAGS_UNKNOWN` without such a flag, and what `UnleashControl` throws.
 */
export function switchMigrationOff(
  options: UnleashControlOptions & { readonly migration: string },
): Promise<void> {
  return new UnleashControl(options).switchMigrationOff(options.migration);
}

/**
 * Changes flags through Unleash's Admin API. Concurrent identical requests are made once; strategies are
 * looked up each time; writes are JSON Patches, which leave alone what they do not name.
 *
 * Unleash has no hold: `switchOff` marks the strategy's title, this class refuses to raise a marked flag
 * (`FLAGS_HELD`), and `releaseHold` takes the mark away. The flag then stays off at 0 % until a person
 * sets it. Unleash's own console knows nothing of the mark.
 *
 * Throws `FLAGS_UNKNOWN`, `FLAGS_DRIFT`, `FLAGS_UNSAFE_STRATEGY`, `FLAGS_UNLEASH_UNAUTHORISED`,
 * `FLAGS_UNLEASH_FORBIDDEN`, `FLAGS_UNLEASH_CHANGE_REQUEST`, `FLAGS_UNLEASH_REJECTED`, and
 * `FLAGS_UNLEASH_UNAVAILABLE`, which alone may go away by itself.
 */
export class UnleashControl implements FlagControl {
  readonly #api: AdminApi;
  readonly #routingKey: string;
  readonly #logger: Logger;
  readonly #flags: FlagRequests;
  readonly #turns = new Turns();
  /** Grows with each switching off: what began before it may not finish. */
  readonly #switchedOff = new Map<string, number>();

  constructor(options: UnleashControlOptions) {
    this.#routingKey = requireText("routingKey", options.routingKey ?? routingKeyProperty);
    this.#logger = options.logger ?? silentLogger;
    this.#api = new AdminApi({
      adminUrl: parseUnleashAddress(options.url).admin,
      token: requireText("token", options.token),
      project: requireText("project", options.project ?? "default"),
      environment: requireText("environment", options.environment ?? "development"),
      tryMs: requireBetween("tryMs", options.tryMs ?? 3000, 10, 60_000),
      deadlineMs: requireBetween("deadlineMs", options.deadlineMs ?? 10_000, 10, 600_000),
      clock: options.clock ?? systemClock,
      random: options.random ?? systemRandom,
    });
    this.#flags = new FlagRequests(this.#api);
  }

  read(operation: string): Promise<FlagState> {
    return this.#api.retry(() => this.#readState(operation));
  }

  async #readState(operation: string): Promise<FlagState> {
    const [own, shadow, parent] = await Promise.all([
      this.#flags.read(operation),
      this.#flags.readIfThere(shadowFlagOf(operation)),
      this.#flags.readIfThere(migrationOf(operation)),
    ]);
    const shadowOn = shadow?.enabled === true && parent?.enabled !== false;
    return {
      operation,
      enabled: own.enabled && parent?.enabled !== false,
      percentage: exposureOf(own.strategies, this.#routingKey),
      shadowPercentage: shadowOn ? exposureOf(shadow.strategies, this.#routingKey) : 0,
      origin: mainStrategy(own)?.title ?? "Unleash",
    };
  }

  async setPercentage(
    operation: string,
    percentage: number,
    change: FlagChange,
    { mayEnable = true }: FlagWriteLimits = {},
  ): Promise<FlagState> {
    const value = parseShare(percentage);
    return this.#turns.once(`set/${operation}/${value}/${mayEnable}`, () =>
      this.#turns.inTurn(operation, () => {
        const epoch = this.#switchedOff.get(operation) ?? 0;
        const overtaken = (): boolean => (this.#switchedOff.get(operation) ?? 0) !== epoch;
        const write: ShareWrite = {
          flag: operation,
          operation,
          value,
          change,
          mayEnable,
          overtaken,
        };
        return this.#setShare(write);
      }),
    );
  }

  async setShadow(operation: string, percentage: number, change: FlagChange): Promise<FlagState> {
    const value = parseShare(percentage);
    const flag = shadowFlagOf(operation);
    const overtaken = (): boolean => false;
    const write: ShareWrite = { flag, operation, value, change, mayEnable: value > 0, overtaken };
    return this.#turns.once(`set/${flag}/${value}`, () =>
      this.#turns.inTurn(flag, () => this.#setShare(write)),
    );
  }

  switchOff(operation: string, change: FlagChange): Promise<FlagState> {
    this.#switchedOff.set(operation, (this.#switchedOff.get(operation) ?? 0) + 1);
    // Not in turn: it waits for no change that is under way.
    return this.#turns.once(`off/${operation}`, () => this.#switchOff(operation, change));
  }

  async releaseHold(operation: string, change: FlagChange): Promise<FlagState> {
    return this.#turns.once(`release/${operation}`, () =>
      this.#turns.inTurn(operation, () =>
        this.#api.retry(async () => {
          const remote = await this.#flags.read(operation);
          const held = remote.strategies.filter((each) =>
            isHeld({ ...remote, strategies: [each] }),
          );
          const title: PatchStep = { op: "add", path: "/title", value: rearmedTitle(change) };
          for (const strategy of held) await this.#flags.patch(operation, strategy, [title]);
          return this.#readState(operation);
        }),
      ),
    );
  }

  /** Switches every operation of a migration off in one write, and reads it back. Idempotent. */
  async switchMigrationOff(migration: string): Promise<void> {
    await this.#api.retry(async () => {
      await this.#flags.switch(migration, "off");
      const { enabled } = await this.#flags.read(migration);
      if (enabled) throw stillOn(migration);
    });
  }

  async #switchOff(operation: string, change: FlagChange): Promise<FlagState> {
    // First of all: it lives apart from the strategies, so that no change of a share can undo it.
    const endMs = this.#api.deadline();
    await this.#api.retry(() => this.#flags.switch(operation, "off"), endMs);
    await this.#toZero(operation, change, endMs);
    return this.#api.retry(async () => {
      const { enabled, strategies } = await this.#flags.read(operation);
      if (enabled && exposureOf(strategies, this.#routingKey) > 0) {
        await this.#flags.switch(operation, "off");
        throw stillOn(operation);
      }
      if (enabled) await this.#flags.switch(operation, "off");
      return this.#readState(operation);
    }, endMs);
  }

  /**
   * So that whoever switches the flag on again does not bring the old share back. The flag is off
   * already: that this fails is told, and is no failure of the rollback.
   */
  async #toZero(operation: string, change: FlagChange, endMs: number): Promise<void> {
    const title = heldTitle(change);
    try {
      await this.#api.retry(async () => {
        const { strategies } = await this.#flags.read(operation);
        for (const strategy of strategies) {
          const held = isHeld({ enabled: false, strategies: [strategy] });
          if (held && strategy.parameters?.["rollout"] === "0") continue;
          await this.#flags.patch(operation, strategy, zeroPatch(title));
        }
      }, endMs);
    } catch (error) {
      const code = codeOf(error);
      this.#logger.error(
        { operation, code },
        "The flag is off, but its percentage could not be set to 0",
      );
    }
  }

  #setShare(write: ShareWrite): Promise<FlagState> {
    // The whole of it again and not the single request: a write that timed out may have been made.
    return this.#api.retry(async () => {
      const remote = await this.#flags.read(write.flag);
      this.#refuse(remote, write);
      await this.#writeShare(remote, write);
      const present = await this.#flags.read(write.flag);
      this.#verify(present, write);
      if (!present.enabled && write.mayEnable && !isHeld(present)) await this.#enable(write);
      return this.#readState(write.operation);
    });
  }

  /** Everything that speaks against a write, before anything is written. */
  #refuse(remote: RemoteEnvironment, { operation, value, mayEnable, overtaken }: ShareWrite): void {
    if (value > 0 && (isHeld(remote) || overtaken())) throw heldFlag(operation);
    if (value > 0 && !remote.enabled && !mayEnable) throw offFlag(operation);
    const main = mainStrategy(remote);
    const others = remote.strategies.filter((each) => each !== main);
    const exposed = exposureOf(others, this.#routingKey);
    if (exposed > value) {
      throw drift(
        `The flag of "${operation}" has another strategy, which gives up to ${exposed} % to the candidate.`,
      );
    }
    if (main === null) return;
    // Its share is written anew; whether it is sticky as it must be is not ours to change on the way.
    const parameters = { ...main.parameters, rollout: "0" };
    const bare = { ...main, parameters, variants: [], disabled: false };
    const verdict = judgeFeature(
      { name: operation, enabled: true, strategies: [bare] },
      this.#routingKey,
    );
    if (verdict.problem === null) return;
    throw new CodedError(
      "FLAGS_UNSAFE_STRATEGY",
      `The flag of "${operation}" cannot be used: ${verdict.problem}. Mend it with changeover flags push, or in Unleash.`,
      { status: 409, details: { operation } },
    );
  }

  async #writeShare(remote: RemoteEnvironment, write: ShareWrite): Promise<void> {
    const { flag, operation, value, change } = write;
    const main = mainStrategy(remote);
    // Only `releaseHold` takes the mark of a rollback away.
    const title = isHeld(remote) ? heldTitle(change) : setTitle(value, change);
    if (main === null) {
      const share = toStrategyShare(value, this.#routingKey);
      const group = migrationOf(operation);
      const groupId = flag === operation ? group : `${group}.shadow`;
      const parameters = { rollout: share.rollout, stickiness: this.#routingKey, groupId };
      const body = { name: "flexibleRollout", title, parameters, variants: share.variants };
      await this.#flags.addStrategy(flag, body);
      return;
    }
    const written = main.disabled !== true && main.title === title;
    if (written && exposureOf([main], this.#routingKey) === value) return;
    const steps = [...unchangedSince(main), ...sharePatch(value, title, this.#routingKey)];
    await this.#flags.patch(flag, main, steps);
  }

  /** What is there after the write, and before anything is switched on. */
  #verify(remote: RemoteEnvironment, { operation, value, overtaken }: ShareWrite): void {
    if (overtaken() || isHeld(remote)) {
      if (value > 0) throw heldFlag(operation);
      return;
    }
    const exposed = exposureOf(remote.strategies, this.#routingKey);
    if (exposed === value) return;
    throw drift(`The flag of "${operation}" says ${exposed} % after ${value} % was written.`);
  }

  /** Only ever with an enabled strategy of the right share in place: without one Unleash adds 100 %. */
  async #enable(write: ShareWrite): Promise<void> {
    const { flag, operation, overtaken } = write;
    await this.#flags.switch(flag, "on");
    const after = await this.#flags.read(flag);
    const problem = overtaken() || isHeld(after) ? heldFlag(operation) : null;
    try {
      if (problem !== null) throw problem;
      this.#verify(after, write);
    } catch (error) {
      // Somebody was faster: what was switched on here may not stay on with another share.
      await this.#api.retry(() => this.#flags.switch(flag, "off"));
      throw error;
    }
    if (!after.enabled)
      throw drift(`The flag of "${operation}" was switched off at the same time.`);
  }
}

/** A share that is to be written. */
interface ShareWrite {
  /** The flag that is written: the operation's, or its shadow's. */
  readonly flag: string;
  readonly operation: string;
  readonly value: number;
  readonly change: FlagChange;
  readonly mayEnable: boolean;
  /** True once the operation was switched off since the write began. */
  readonly overtaken: () => boolean;
}

function stillOn(flag: string): CodedError {
  return new CodedError(
    "FLAGS_DRIFT",
    `The flag "${flag}" is on after it was switched off: somebody switches it on again.`,
    { status: 409, retryable: true, details: { flag } },
  );
}
