import { createHmac, randomBytes } from "node:crypto";
import type { Clock, Timer } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { caseOf, type MismatchCase, merged, readCase } from "./cases/mismatch-case.ts";
import type { ShadowResult } from "./shadow.ts";

/** Port: where cases are kept over restarts, each under its id. */
export interface CaseStore {
  /** All that is kept; what cannot be read is left out. */
  load(): Promise<readonly unknown[]>;
  /** Keeps what `change` makes of what is kept under `id` (undefined when nothing is). */
  update(id: string, change: (kept: unknown) => object): Promise<void>;
  remove(id: string): Promise<void>;
}

/** Where a {@link MismatchLog} keeps its cases, and how. */
export interface MismatchKeeping {
  readonly store: CaseStore;
  readonly clock: Clock;
  readonly report: (part: string, error: unknown) => void;
  /** Milliseconds between two writes of one case, at least; the first is made at once. Default 1000. */
  readonly flushMs?: number;
}

/** Options of a {@link MismatchLog}. */
export interface MismatchLogOptions {
  /** Shapes kept; beyond it the one that was not seen for longest goes. Default 100. */
  readonly max?: number;
  /**
   * Salt of the key hashes. Give every process the same secret to find one key in all of them; default: a
   * random one, so that keys cannot be guessed from their hashes.
   */
  readonly salt?: string;
  /** Default: in memory only. */
  readonly keeping?: MismatchKeeping;
}

/** Remembers in which ways the two paths differed; each way once, with a counter. */
export class MismatchLog {
  readonly #max: number;
  readonly #salt: string;
  readonly #keeping: MismatchKeeping | undefined;
  // In the order of the last sighting, the oldest first.
  readonly #shapes = new Map<string, MismatchCase>();
  /** What was seen and is not kept yet. */
  readonly #unsaved = new Map<string, MismatchCase>();
  #forgotten = 0;
  #timer: Timer | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: MismatchLogOptions = {}) {
    this.#max = options.max ?? 100;
    this.#salt = options.salt ?? randomBytes(16).toString("hex");
    this.#keeping = options.keeping;
  }

  /** Shapes that had to make room for newer ones. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Adds what was kept before this process. Never rejects: the past is no reason not to start. */
  async load(): Promise<void> {
    if (this.#keeping === undefined) return;
    const { store, report } = this.#keeping;
    const kept = await store.load().catch((error: unknown): readonly unknown[] => {
      report("mismatches", error);
      return [];
    });
    const cases = kept.flatMap((each) => readCase(each) ?? []);
    const own = [...this.#shapes.values()];
    this.#shapes.clear();
    for (const each of [...cases.sort(byLastSeen), ...own]) {
      const known = this.#shapes.get(each.id);
      this.#shapes.delete(each.id);
      this.#shapes.set(each.id, known === undefined ? each : merged(known, each));
    }
    this.#makeRoom();
  }

  /** Takes note of a result; everything but a difference is ignored. */
  add(result: ShadowResult): void {
    const seen = caseOf(result, this.hashKey(result.key));
    if (seen === null) return;
    const { id } = seen;
    const known = this.#shapes.get(id);
    this.#shapes.delete(id);
    this.#shapes.set(id, known === undefined ? seen : merged(known, seen));
    if (this.#keeping !== undefined) this.#saveSoon(seen, known === undefined, this.#keeping);
    this.#makeRoom();
  }

  /** What is remembered, the newest sighting first; of one operation where it is named. */
  list(operation?: string): readonly MismatchCase[] {
    const all = [...this.#shapes.values()].reverse();
    return operation === undefined ? all : all.filter((each) => each.operation === operation);
  }

  /** The case of an id or of its beginning. Throws `SHADOW_UNKNOWN_CASE`. */
  find(id: string): MismatchCase {
    const found = this.list().filter((each) => id !== "" && each.id.startsWith(id));
    if (found.length === 1 && found[0] !== undefined) return found[0];
    const what = found.length === 0 ? "no mismatch" : `${found.length} mismatches`;
    throw new CodedError(
      "SHADOW_UNKNOWN_CASE",
      `There is ${what} whose id starts with ${JSON.stringify(id.slice(0, 40))}. List them to see which there are.`,
      { status: 404 },
    );
  }

  /** The hash under which a routing key appears in this log. */
  hashKey(key: string): string {
    return createHmac("sha256", this.#salt).update(key).digest("hex").slice(0, 16);
  }

  /** Forgets everything, or what is remembered of one operation. */
  clear(operation?: string): void {
    for (const { id } of this.list(operation)) this.#forget(id);
  }

  /** Writes what is not kept yet. Never rejects. */
  flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  /** Writes what is not kept yet, and stops its timer. */
  close(): Promise<void> {
    return this.flush();
  }

  #saveSoon(seen: MismatchCase, isNew: boolean, keeping: MismatchKeeping): void {
    const waiting = this.#unsaved.get(seen.id);
    this.#unsaved.set(seen.id, waiting === undefined ? seen : merged(waiting, seen));
    if (isNew) void this.flush();
    else this.#timer ??= keeping.clock.after(keeping.flushMs ?? 1000, () => void this.flush());
  }

  async #write(): Promise<void> {
    if (this.#keeping === undefined) return;
    const { store, report } = this.#keeping;
    for (const [id, seen] of [...this.#unsaved]) {
      this.#unsaved.delete(id);
      try {
        await store.update(id, (kept) => {
          const before = readCase(kept);
          return before === null ? seen : merged(before, seen);
        });
      } catch (error) {
        report("mismatches", error);
      }
    }
  }

  #makeRoom(): void {
    for (const id of this.#shapes.keys()) {
      if (this.#shapes.size <= this.#max) return;
      this.#forget(id);
      this.#forgotten += 1;
    }
  }

  #forget(id: string): void {
    this.#shapes.delete(id);
    this.#unsaved.delete(id);
    if (this.#keeping === undefined) return;
    const { store, report } = this.#keeping;
    this.#writing = this.#writing
      .then(() => (this.#shapes.has(id) ? undefined : store.remove(id)))
      .catch((error: unknown) => report("mismatches", error));
  }
}

const byLastSeen = (a: MismatchCase, b: MismatchCase): number =>
  a.lastSeen < b.lastSeen ? -1 : Number(a.lastSeen > b.lastSeen);
