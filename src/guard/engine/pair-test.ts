import { wilsonUpper, zStrict } from "./wilson.ts";

/** What pairs say about the candidate; `open` while they do not say it clearly. */
export type PairAnswer = "worse" | "as-bad" | "open";

/** How the calls went on which only one path was bad, under the hypotheses that are weighed. */
const alternatives = [0.65, 0.8, 0.95];
const up: readonly number[] = alternatives.map((p1) => Math.log(p1 / 0.5));
const down: readonly number[] = alternatives.map((p1) => Math.log((1 - p1) / 0.5));
/** A candidate that is worse is cleared at most once in e^5 (150) probes. */
const clearAt = -5;

/**
 * Is the candidate bad more often than legacy on the very same calls? McNemar's test in its sequential
 * form: only calls count on which exactly one path was bad, and if the paths are alike each is as likely
 * to be the one. The mean of the likelihood ratios of several alternatives is an e-process: it ever
 * reaches e^h with a chance of at most e^-h, however often one looks (Ville's inequality). Whatever hits
 * both paths, an outage or a cohort of odd keys, cannot move it. (McNemar, Psychometrika 12, 1947.)
 */
export class PairTest {
  readonly #sums = new Float64Array(alternatives.length);
  #pairs = 0;
  #onlyCandidate = 0;
  #onlyLegacy = 0;

  /** Pairs seen. */
  get pairs(): number {
    return this.#pairs;
  }

  /** Pairs on which only the candidate was bad. */
  get onlyCandidate(): number {
    return this.#onlyCandidate;
  }

  /** Pairs on which only legacy was bad. */
  get onlyLegacy(): number {
    return this.#onlyLegacy;
  }

  /** The logarithm of the e-value. */
  get evidence(): number {
    const most = Math.max(...this.#sums);
    let sum = 0;
    for (const each of this.#sums) sum += Math.exp(each - most);
    return most + Math.log(sum / this.#sums.length);
  }

  add(candidateBad: boolean, legacyBad: boolean): void {
    this.#pairs += 1;
    if (candidateBad === legacyBad) return;
    if (candidateBad) this.#onlyCandidate += 1;
    else this.#onlyLegacy += 1;
    const steps = candidateBad ? up : down;
    for (let j = 0; j < steps.length; j += 1) {
      this.#sums[j] = (this.#sums[j] ?? 0) + (steps[j] ?? 0);
    }
  }

  /**
   * `worse` once the evidence reaches `threshold`. `as-bad` once it speaks against every alternative, or
   * once fewer calls than half of the allowed increase `delta` can have been bad on the candidate alone.
   */
  answer(threshold: number, delta: number): PairAnswer {
    if (this.evidence >= threshold) return "worse";
    if (this.#sums.every((sum) => sum <= clearAt)) return "as-bad";
    if (wilsonUpper(this.#onlyCandidate, this.#pairs, zStrict) < delta / 2) return "as-bad";
    return "open";
  }

  reset(): void {
    this.#sums.fill(0);
    this.#pairs = 0;
    this.#onlyCandidate = 0;
    this.#onlyLegacy = 0;
  }
}
