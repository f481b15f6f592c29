import { ManualClock } from "../../src/base/manual-clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { type Changeover, createChangeover, staticFlags } from "../../src/changeover.ts";
import type { FlagSource } from "../../src/migration/flags.ts";
import { MemoryJournal } from "../../src/migration/journal.ts";
import { MemoryLatchStore } from "../../src/migration/latch.ts";
import { settle } from "../support/facade.ts";

export const one = "inv.read";
export const two = "other.read";
export const down: Error = Object.assign(new Error("down"), { code: "EDOWN" });

/** How often each path fails, for so many calls of one operation. */
export interface Calls {
  readonly type: "calls";
  readonly operation: string;
  readonly count: number;
  readonly candidate: number;
  readonly legacy: number;
}
export type Event =
  | Calls
  | { readonly type: "time"; readonly seconds: number }
  | { readonly type: "restart" }
  /** The flag system says something else, or nothing. */
  | { readonly type: "flags"; readonly percentage: number }
  | { readonly type: "stale"; readonly stale: boolean };

/** A process with two migrations, its stores, and flags that can be cut off. */
export class World {
  readonly clock: ManualClock = new ManualClock();
  readonly journal: MemoryJournal = new MemoryJournal();
  readonly breaches: string[] = [];
  readonly paths: { operation: string; path: string }[] = [];
  #changeover: Changeover | null = null;
  stale: boolean = false;
  offWrites: number = 0;
  readonly #store = new MemoryLatchStore();
  readonly #flags: FlagSource;
  readonly #random: ReturnType<typeof seededRandom>;
  #calls = new Map<string, (input: number, options: { key: string }) => Promise<string>>();
  #rates = { candidate: 0, legacy: 0 };
  #count = 0;

  constructor(percentage: number, seed: number) {
    this.#flags = staticFlags({ [one]: percentage, [two]: percentage });
    this.#random = seededRandom(seed);
  }

  get changeover(): Changeover {
    if (this.#changeover === null) throw new Error("the world has not been started");
    return this.#changeover;
  }

  static async start(percentage: number, seed = 1): Promise<World> {
    const world = new World(percentage, seed);
    await world.#boot();
    return world;
  }

  /** What share of callers may be on the candidate. */
  exposure(operation: string = one): number {
    const found = this.changeover.operations.find(({ name }) => name === operation);
    if (found === undefined || found.latch.tripped || found.budgetSpent) return 0;
    return this.#flags.state(operation)?.percentage ?? 0;
  }

  tripped(operation: string = one): boolean {
    return this.changeover.operations.some((each) => each.name === operation && each.latch.tripped);
  }

  epoch(operation: string = one): number {
    return this.changeover.operations.find(({ name }) => name === operation)?.latch.epoch ?? 0;
  }

  async happen(event: Event): Promise<void> {
    if (event.type === "calls") await this.#serve(event);
    if (event.type === "time") this.clock.advance(event.seconds * 1000);
    if (event.type === "stale") this.stale = event.stale;
    if (event.type === "restart") {
      await this.changeover.close();
      await this.#boot();
    }
    if (event.type === "flags") {
      // Not by our control: an old replica, a person elsewhere, a cache.
      const { control } = this.#flags;
      await control?.releaseHold(one, { by: "x", reason: "x" });
      await control?.setPercentage(one, event.percentage, { by: "x", reason: "x" });
    }
    await settle();
  }

  async #boot(): Promise<void> {
    const { control } = this.#flags;
    if (control === null) throw new Error("static flags can be set");
    const flags: FlagSource = {
      kind: "test",
      control: {
        read: (operation) => control.read(operation),
        setPercentage: (...args) => control.setPercentage(...args),
        setShadow: (...args) => control.setShadow(...args),
        releaseHold: (...args) => control.releaseHold(...args),
        switchOff: (...args) => {
          this.offWrites += 1;
          if (this.stale) return Promise.reject(new Error("unreachable"));
          return control.switchOff(...args);
        },
      },
      revision: () => this.#flags.revision(),
      freshness: () => ({ state: this.stale ? "stale" : "fresh", lastRefreshMs: null }),
      answer: (operation, key) => this.#flags.answer(operation, key),
      state: (operation) => this.#flags.state(operation),
      problems: () => [],
      ready: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
    const { clock, journal } = this;
    // The fixture's own heap is no part of the story.
    const guard = { memory: { enabled: false } };
    this.#changeover = await createChangeover({
      flags,
      clock,
      journal,
      guard,
      latchStore: this.#store,
    });
    this.changeover.breaches.subscribe(({ operation }) => this.breaches.push(operation.name));
    for (const name of [one, two]) {
      const fails = (rate: number): boolean => this.#random.next() < rate;
      const call = this.changeover.migrate({
        name,
        kind: "read",
        legacy: () => (fails(this.#rates.legacy) ? Promise.reject(down) : "old"),
        candidate: (_n: number) => (fails(this.#rates.candidate) ? Promise.reject(down) : "new"),
        same: () => true,
      });
      this.#calls.set(name, call);
    }
    // Legacy failed like this before: it is no new exception.
    await this.#serve({ type: "calls", operation: one, count: 1, candidate: 1, legacy: 1 });
  }

  async #serve({ operation, count, candidate, legacy }: Calls): Promise<void> {
    this.#rates = { candidate, legacy };
    for (let n = 0; n < count; n += 1) {
      this.#count += 1;
      const options = {
        key: `user-${this.#count}`,
        onAnswer: ({ path, fellBack }: { path: string; fellBack: boolean }) => {
          this.paths.push({ operation, path: fellBack ? "candidate" : path });
        },
      };
      await this.#calls
        .get(operation)?.(n, options)
        .catch(() => undefined);
      this.clock.advance(20);
      if (n % 8 === 7) await settle();
    }
    this.#rates = { candidate: 0, legacy: 0 };
  }
}
