import { spoolFull } from "../errors.ts";

/** How much may be staged at a time. */
export interface RoomLimits {
  readonly limitBytes: number;
  readonly filesMax: number;
}

/** One file's share of the room. */
export interface Share {
  /** Grows the share to `bytes`; smaller values change nothing. Throws `FILES_SPOOL_FULL`. */
  growTo(bytes: number): void;
  /** Gives all of it back; the second time does nothing. */
  giveBack(): void;
}

/** The room of a spool: who has how much of it. */
export class Room {
  readonly #limits: RoomLimits;
  #usedBytes = 0;
  #files = 0;

  constructor(limits: RoomLimits) {
    this.#limits = limits;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get files(): number {
    return this.#files;
  }

  /** Takes room for one file of `bytes` (it may grow), or throws `FILES_SPOOL_FULL`. */
  take(bytes: number): Share {
    if (this.#files + 1 > this.#limits.filesMax) throw this.full();
    this.#claim(bytes);
    this.#files += 1;
    let taken = bytes;
    let given = false;
    return {
      growTo: (wanted) => {
        if (given || wanted <= taken) return;
        this.#claim(wanted - taken);
        taken = wanted;
      },
      giveBack: () => {
        if (given) return;
        given = true;
        this.#usedBytes -= taken;
        this.#files -= 1;
      },
    };
  }

  /** The error for a room that is full, or with a `cause` for a disk that is. */
  full(cause?: unknown): Error {
    const use = { ...this.#limits, usedBytes: this.#usedBytes, files: this.#files };
    return spoolFull(use, cause);
  }

  #claim(bytes: number): void {
    if (this.#usedBytes + bytes > this.#limits.limitBytes) throw this.full();
    this.#usedBytes += bytes;
  }
}
