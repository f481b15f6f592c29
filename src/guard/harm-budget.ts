const hours = 24;

/**
 * Calls that the candidate failed for their callers within 24 h, and how many legacy would have failed at
 * most: both paths fail now and then, and only what is beyond that is the rollout's doing. Counted in
 * hours, so the day forgets in steps of one hour; once spent it stays spent until a person grants more.
 */
export class HarmBudget {
  readonly #harmed = new Float64Array(hours);
  readonly #expected = new Float64Array(hours);
  readonly #calls = new Float64Array(hours);
  #hour = 0;
  #spentAtMs: number | null = null;

  advance(second: number): void {
    const hour = Math.floor(second / 3600);
    for (let passed = Math.min(hours, hour - this.#hour); passed > 0; passed -= 1) {
      const at = (hour - passed + 1) % hours;
      this.#harmed[at] = 0;
      this.#expected[at] = 0;
      this.#calls[at] = 0;
    }
    this.#hour = Math.max(this.#hour, hour);
  }

  /** One candidate call; `rate` is what share of such calls legacy fails at most. */
  count(harmed: boolean, rate: number): void {
    const at = this.#hour % hours;
    this.#calls[at] = (this.#calls[at] ?? 0) + 1;
    this.#expected[at] = (this.#expected[at] ?? 0) + rate;
    if (harmed) this.#harmed[at] = (this.#harmed[at] ?? 0) + 1;
  }

  state(): { harmed: number; expected: number; calls: number; spentAtMs: number | null } {
    return {
      harmed: sum(this.#harmed),
      expected: sum(this.#expected),
      calls: sum(this.#calls),
      spentAtMs: this.#spentAtMs,
    };
  }

  spend(atMs: number): void {
    this.#spentAtMs = atMs;
  }

  /** A person grants a new budget. */
  grant(): void {
    this.#spentAtMs = null;
    this.#harmed.fill(0);
    this.#expected.fill(0);
    this.#calls.fill(0);
  }
}

const sum = (numbers: Float64Array): number => numbers.reduce((total, each) => total + each, 0);
