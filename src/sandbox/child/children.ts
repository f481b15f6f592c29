import type { Unsubscribe } from "../../base/event.ts";
import type { Logger } from "../../base/logger.ts";
import type { BackendProcess, ChildExit } from "./child-process.ts";

/** What is watched of a child. */
export type WatchedChild = Pick<BackendProcess<unknown, unknown>, "name" | "pid" | "exited">;

/** Children that belong together: who they are, and which of them ended without being asked to. */
export class Children {
  readonly #children: WatchedChild[] = [];
  readonly #exits: ChildExit[] = [];
  readonly #listeners = new Set<(exit: ChildExit) => void>();
  readonly #logger: Logger;

  constructor(children: readonly WatchedChild[], logger: Logger) {
    this.#logger = logger;
    for (const child of children) this.add(child);
  }

  get pids(): readonly number[] {
    return this.#children.map(({ pid }) => pid);
  }

  add(child: WatchedChild): void {
    this.#children.push(child);
    child.exited.subscribe((exit) => {
      this.#exits.push(exit);
      this.#logger.error({ ...exit }, "A process of the sandbox died.");
      for (const listener of this.#listeners) listener(exit);
    });
  }

  /** Calls `listener` when a child dies that nobody asked to stop; at once for one that already has. */
  onExit(listener: (exit: ChildExit) => void): Unsubscribe {
    for (const exit of this.#exits) listener(exit);
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
