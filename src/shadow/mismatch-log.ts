import { createHmac, randomBytes } from "node:crypto";
import type { Path } from "../migration/call.ts";
import type { Difference, DifferenceKind } from "./difference.ts";
import type { ShadowResult } from "./shadow.ts";

/** One shape of difference, however often it was seen. A plain object, ready for JSON. */
export interface Mismatch {
  /** Twelve hex characters that name this shape: the same in every process. */
  readonly id: string;
  readonly operation: string;
  /** How often. */
  readonly count: number;
  /** ISO 8601. */
  readonly firstSeen: string;
  readonly lastSeen: string;
  /** The path that answered the caller of the newest one. */
  readonly served: Path;
  /** Of the newest one. */
  readonly requestId: string;
  /** The newest one's routing key, hashed with the log's salt. */
  readonly keyHash: string;
  readonly kinds: readonly DifferenceKind[];
  /** Where the newest one differs; values are shortened and masked. */
  readonly differences: readonly Difference[];
  /** There are more differences than are listed. */
  readonly truncated: boolean;
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
}

/** Remembers in memory in which ways the two paths differed. */
export class MismatchLog {
  readonly #max: number;
  readonly #salt: string;
  // In the order of the last sighting, the oldest first.
  readonly #shapes = new Map<string, Mismatch>();
  #forgotten = 0;

  constructor({ max = 100, salt = randomBytes(16).toString("hex") }: MismatchLogOptions = {}) {
    this.#max = max;
    this.#salt = salt;
  }

  /** Shapes that had to make room for newer ones. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Takes note of a result; everything but a difference is ignored. */
  add(result: ShadowResult): void {
    if (result.comparison?.kind !== "different") return;
    const { differences, truncated } = result.comparison;
    const operation = result.operation.name;
    const id = shapeOf(operation, differences);
    const known = this.#shapes.get(id);
    const seen = new Date(result.atMs).toISOString();
    this.#shapes.delete(id);
    this.#shapes.set(id, {
      id,
      operation,
      count: (known?.count ?? 0) + 1,
      firstSeen: known?.firstSeen ?? seen,
      lastSeen: seen,
      served: result.served.path,
      requestId: result.requestId.slice(0, 100),
      keyHash: this.hashKey(result.key),
      kinds: [...new Set(differences.map((each) => each.kind))].sort(),
      differences,
      truncated,
    });
    this.#makeRoom();
  }

  /** What is remembered, the newest sighting first; of one operation where it is named. */
  list(operation?: string): readonly Mismatch[] {
    const all = [...this.#shapes.values()].reverse();
    return operation === undefined ? all : all.filter((each) => each.operation === operation);
  }

  /** The hash under which a routing key appears in this log. */
  hashKey(key: string): string {
    return createHmac("sha256", this.#salt).update(key).digest("hex").slice(0, 16);
  }

  /** Forgets everything, or what is remembered of one operation. */
  clear(operation?: string): void {
    for (const { id } of this.list(operation)) this.#shapes.delete(id);
  }

  #makeRoom(): void {
    for (const id of this.#shapes.keys()) {
      if (this.#shapes.size <= this.#max) return;
      this.#shapes.delete(id);
      this.#forgotten += 1;
    }
  }
}

/** Which fields differ how, whatever the values and whichever item of a list. */
function shapeOf(operation: string, differences: readonly Difference[]): string {
  const places = differences.map(
    ({ path, kind }) => `${path.replace(/(^|\.)\d+(?=\.|$)/g, "$1*")} ${kind}`,
  );
  const shape = [operation, ...[...new Set(places)].sort()].join("\n");
  return createHmac("sha256", "mismatch").update(shape).digest("hex").slice(0, 12);
}
