import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { FileRequest } from "../file-manager.ts";
import { withTimeLimit } from "../storage/time-limit.ts";
import type { Catalog } from "./catalog.ts";

/** What {@link AccessStamps} are written with. */
export interface AccessStampsParts {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How many may be on their way at once; default 64. Beyond it a stamp is dropped. */
  readonly pendingMax?: number;
}

const LIMIT_MS = 10_000;

/** Notes when a file was last downloaded, behind the answer: nobody waits for it, and it may be lost. */
export class AccessStamps {
  readonly #parts: AccessStampsParts;
  readonly #pending = new Set<Promise<void>>();

  constructor(parts: AccessStampsParts) {
    this.#parts = parts;
  }

  /** Writes the present time as the file's access time, soon. */
  stamp(request: FileRequest): void {
    if (this.#pending.size >= (this.#parts.pendingMax ?? 64)) return;
    const writing = this.#write(request).finally(() => this.#pending.delete(writing));
    this.#pending.add(writing);
  }

  /** Resolves when no stamp is on its way any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async #write({ owner, id }: FileRequest): Promise<void> {
    const { catalog, clock, logger } = this.#parts;
    const at = new Date(clock.now()).toISOString();
    try {
      await withTimeLimit({ clock, limitMs: LIMIT_MS }, (signal) =>
        catalog.markAccessed({ owner, id }, at, signal),
      );
    } catch (error) {
      logger.warn({ file: id, err: error }, "An access time could not be written");
    }
  }
}
