import { LRUCache } from "lru-cache";
import type { FlagSource } from "../flags.ts";

/** One for all looks: without it the cache makes an object for each. */
const noGetOptions = {};

/** The bits of an answer. */
export const CANDIDATE = 1;
export const SHADOW = 2;

/** What the flags say about the keys of one operation, remembered until any flag changes. */
export class FlagAnswers {
  readonly #flags: FlagSource;
  readonly #operation: string;
  readonly #answers: LRUCache<string, number>;
  #revision = -1;

  constructor(flags: FlagSource, operation: string, max: number) {
    this.#flags = flags;
    this.#operation = operation;
    this.#answers = new LRUCache<string, number>({ max });
  }

  /** The bits for a key. */
  of(key: string): number {
    const revision = this.#flags.revision();
    if (revision !== this.#revision) {
      this.#answers.clear();
      this.#revision = revision;
    }
    const cached = this.#answers.get(key, noGetOptions);
    if (cached !== undefined) return cached;
    const { candidate, shadow } = this.#flags.answer(this.#operation, key);
    const answer = (candidate ? CANDIDATE : 0) | (shadow ? SHADOW : 0);
    this.#answers.set(key, answer);
    return answer;
  }
}
