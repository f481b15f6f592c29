import { codeOf } from "../../base/errors.ts";
import type { Observation } from "../../migration/observation.ts";
import type { Outcome } from "../../migration/outcome.ts";
import type { Policy } from "../policy.ts";
import { Exceptions, fingerprintOf, type UnknownException } from "./exceptions.ts";

/** Failures a second that are looked at closely: reading a stack costs, and three are enough. */
const fingerprintsPerSecond = 100;

/** An error of which one is too many. */
export interface FatalError {
  readonly label: string;
  readonly atMs: number;
  readonly where: "served" | "shared" | "shadow";
}

/** Looks at what the paths of one operation throw: is it new, is it fatal? */
export class Inspection {
  readonly #policy: Policy;
  readonly #exceptions: Exceptions;
  #inspected = 0;
  #fatal: FatalError | null = null;

  constructor(policy: Policy) {
    this.#policy = policy;
    this.#exceptions = new Exceptions(policy.newException);
  }

  /** The fatal error that counts, or null. */
  get fatal(): FatalError | null {
    return this.#fatal;
  }

  /** The kind that legacy never threw and that was blamed last. */
  get unknown(): UnknownException | null {
    return this.#exceptions.last;
  }

  /** A new second: there is time again to look closely. */
  advance(): void {
    this.#inspected = 0;
  }

  /** Forgets alarms, and keeps what is known. */
  restart(): void {
    this.#exceptions.forgetUnknown();
    this.#fatal = null;
  }

  /** Legacy failed: whatever it throws is known from now on. */
  learn(outcome: Outcome): void {
    if (outcome.kind === "failed" && this.#policy.newException.enabled && this.#mayInspect()) {
      this.#exceptions.learn(fingerprintOf(outcome.error));
    }
  }

  /** The candidate failed in the shadow. */
  rehearsed(outcome: Outcome, atMs: number): void {
    if (outcome.kind !== "failed" || !this.#mayInspect()) return;
    const fingerprint = fingerprintOf(outcome.error);
    this.#exceptions.learnRehearsed(fingerprint);
    if (this.#isFatal(outcome.error)) {
      this.#fatal ??= { label: fingerprint.label, atMs, where: "shadow" };
    }
  }

  /** The candidate failed a caller's call; `shared`: and legacy failed it too. */
  served({ first, fallback, atMs }: Observation, key: number, shared: boolean): void {
    if (first.kind !== "failed") return;
    if (this.#isFatal(first.error) && this.#fatal?.where !== "served") {
      const where = shared ? "shared" : "served";
      this.#fatal = { label: fingerprintOf(first.error).label, atMs, where };
    }
    if (shared && fallback !== null) this.learn(fallback);
    if (shared || !this.#policy.newException.enabled || !this.#mayInspect()) return;
    this.#exceptions.blame(fingerprintOf(first.error), key, atMs);
  }

  #isFatal(error: unknown): boolean {
    const { enabled, codes, flag } = this.#policy.fatal;
    if (!enabled) return false;
    const code = codeOf(error);
    if (code !== undefined && codes.includes(code)) return true;
    return flag !== null && (error as Record<string, unknown> | null)?.[flag] === true;
  }

  #mayInspect(): boolean {
    this.#inspected += 1;
    return this.#inspected <= fingerprintsPerSecond;
  }
}
