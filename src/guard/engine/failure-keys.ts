const slots = 1024;
const probes = 8;

/**
 * A 32-bit number for a key: FNV-1a (Fowler, Noll, Vo) over at most 256 characters. Keys themselves are
 * not kept: they may be personal data.
 */
export function hashKey(key: string): number {
  let hash = 0x811c9dc5;
  const length = Math.min(key.length, 256);
  for (let index = 0; index < length; index += 1) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  // 0 marks an empty slot.
  return hash >>> 0 || 1;
}

/**
 * How often each key failed in the present minute, so that one key that retries a poisoned input counts
 * as little as it should. Room for 1,024 keys; when the neighbourhood of a key is full, the oldest guess
 * is overwritten and that key starts from 1 again.
 */
export class FailureKeys {
  readonly #keys = new Uint32Array(slots);
  readonly #counts = new Uint8Array(slots);
  #minute = -1;

  /** Counts one failure; false when this key had its `limit` (at most 255) in this minute already. */
  admit(hash: number, second: number, limit: number): boolean {
    const minute = Math.floor(second / 60);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#keys.fill(0);
      this.#counts.fill(0);
    }
    const at = this.#slotOf(hash);
    const count = this.#counts[at] ?? 0;
    if (count >= Math.min(limit, 255)) return false;
    this.#counts[at] = count + 1;
    return true;
  }

  #slotOf(hash: number): number {
    for (let probe = 0; probe < probes; probe += 1) {
      const at = (hash + probe) % slots;
      const held = this.#keys[at];
      if (held === hash) return at;
      if (held === 0) {
        this.#keys[at] = hash;
        return at;
      }
    }
    const at = hash % slots;
    this.#keys[at] = hash;
    this.#counts[at] = 0;
    return at;
  }
}

const spreadSlots = 8;

/**
 * How failures are spread over keys since a detector left 0: at least how many keys, and how much the
 * worst of them holds. Eight counters (the space-saving algorithm of Metwally, Agrawal, El Abbadi, 2005):
 * a key with more than an eighth of the failures cannot be missed.
 */
export class KeySpread {
  readonly #keys = new Uint32Array(spreadSlots);
  readonly #counts = new Uint32Array(spreadSlots);
  #total = 0;

  add(hash: number): void {
    this.#total += 1;
    let least = 0;
    for (let slot = 0; slot < spreadSlots; slot += 1) {
      const count = this.#counts[slot] ?? 0;
      if (count === 0 || this.#keys[slot] === hash) {
        this.#keys[slot] = hash;
        this.#counts[slot] = count + 1;
        return;
      }
      if (count < (this.#counts[least] ?? 0)) least = slot;
    }
    this.#keys[least] = hash;
    this.#counts[least] = (this.#counts[least] ?? 0) + 1;
  }

  /** Different keys seen, counted up to 8. */
  get distinct(): number {
    return this.#counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
  }

  /** Share of the failures that the worst key holds, 0 to 1. */
  get topShare(): number {
    if (this.#total === 0) return 0;
    return this.#counts.reduce((most, count) => Math.max(most, count), 0) / this.#total;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }
}

/** Do at least `needed` different keys use the candidate at present? Remembers no more than that many. */
export class KeyCensus {
  readonly #needed: number;
  readonly #periodSeconds: number;
  #present: string[] = [];
  #before = 0;
  #period = -1;

  constructor(needed: number, periodSeconds = 300) {
    this.#needed = needed;
    this.#periodSeconds = periodSeconds;
  }

  see(key: string, second: number): void {
    const period = Math.floor(second / this.#periodSeconds);
    if (period !== this.#period) {
      this.#before = period === this.#period + 1 ? this.#present.length : 0;
      this.#present = [];
      this.#period = period;
    }
    if (this.#present.length < this.#needed && !this.#present.includes(key)) {
      this.#present.push(key);
    }
  }

  /** Different keys in this period or the one before, counted up to `needed`. */
  get count(): number {
    return Math.max(this.#present.length, this.#before);
  }
}
