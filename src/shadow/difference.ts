import { types } from "node:util";
import { classOf, cut, isSecretName, showPathPart, showValue } from "./redaction.ts";

/** In what way two results differ. */
export type DifferenceKind =
  /** One path answered, the other did not. */
  | "outcome"
  /** Both paths refused the call, with errors of another class or code. */
  | "error"
  /** Legacy has it, the candidate has not. */
  | "missing"
  /** The candidate has it, legacy has not. */
  | "extra"
  | "value"
  | "type"
  /** A list, a collection or bytes of another size. */
  | "length"
  /** The same items in another order. */
  | "order";

/** The closed set of kinds that metrics use as the `kind` label. */
export const differenceKinds: readonly DifferenceKind[] = [
  "outcome",
  "error",
  "missing",
  "extra",
  "value",
  "type",
  "length",
  "order",
];

/** One place where two results differ. The values are shortened and masked, and safe to show. */
export interface Difference {
  /** Dotted path (`items.3.name`), or `(value)` for the result as a whole. */
  readonly path: string;
  readonly kind: DifferenceKind;
  readonly legacy: string;
  readonly candidate: string;
}

/** Why two values could not be compared to the end. */
export type DiffLimit = "too-deep" | "too-large" | "opaque";

/** What a walk over two values found. */
export interface Diff {
  readonly differences: readonly Difference[];
  /** There are more differences than are listed. */
  readonly truncated: boolean;
  /** Null when everything was looked at. */
  readonly limit: { readonly why: DiffLimit; readonly detail: string } | null;
}

/** How far two results are compared; beyond it the comparison says that it cannot tell. */
const diffLimits: {
  readonly differences: number;
  readonly depth: number;
  readonly values: number;
  readonly unorderedObjects: number;
} = {
  /** Differences listed. */
  differences: 20,
  /** Levels of nesting. */
  depth: 50,
  /** Pairs of values looked at, which bounds the time that one comparison may block the process. */
  values: 20_000,
  /** Objects in a set, or in a list, that are matched without regard to order (quadratic). */
  unorderedObjects: 64,
};

/**
 * Where do two values differ? Fields that hold `undefined` count as missing, 0 and -0 as the same number,
 * NaN as equal to itself, functions as no data. Only enumerable fields with string names are looked at.
 * `ignore` holds dotted paths, `*` standing for any one part; a part that contains a dot itself is only
 * matched by `*`. May throw what a getter of the values throws.
 */
export function diff(legacy: unknown, candidate: unknown, ignore: readonly string[] = []): Diff {
  const patterns = ignore.map((path) => path.split("."));
  const walk = new Walk(patterns, { left: diffLimits.values }, [], diffLimits.differences);
  walk.compare(legacy, candidate);
  return walk.result();
}

const absent = Symbol("absent");

interface Effort {
  left: number;
}

class Walk {
  readonly #patterns: readonly (readonly string[])[];
  readonly #effort: Effort;
  readonly #parts: string[];
  readonly #max: number;
  readonly #differences: Difference[] = [];
  // Pairs on the way down: meeting one again means that both sides go round in the same circle.
  readonly #open = new Map<object, Set<object>>();
  #truncated = false;
  #limit: Diff["limit"] = null;

  constructor(
    patterns: readonly (readonly string[])[],
    effort: Effort,
    parts: readonly string[],
    max: number,
  ) {
    this.#patterns = patterns;
    this.#effort = effort;
    this.#parts = [...parts];
    this.#max = max;
  }

  result(): Diff {
    return { differences: this.#differences, truncated: this.#truncated, limit: this.#limit };
  }

  compare(a: unknown, b: unknown): void {
    if (this.#truncated || a === b || Object.is(a, b)) return;
    if (!this.#spend(1)) return;
    const shape = shapeOf(a);
    if (shape !== shapeOf(b)) {
      const inside = this.#parts.length > 0;
      if (inside && a === undefined) this.#add("extra", a, b);
      else if (inside && b === undefined) this.#add("missing", a, b);
      else this.#add("type", a, b);
      return;
    }
    if (shape === "function") return;
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) {
      if (typeof a !== "symbol" || String(a) !== String(b)) this.#add("value", a, b);
      return;
    }
    this.#objects(a, b, shape);
  }

  #objects(a: object, b: object, shape: string): void {
    if (this.#parts.length >= diffLimits.depth) {
      this.#stop("too-deep", `more than ${diffLimits.depth} levels of nesting`);
      return;
    }
    const against = this.#open.get(a) ?? new Set();
    if (against.has(b)) return;
    against.add(b);
    this.#open.set(a, against);
    this.#contents(a, b, shape);
    against.delete(b);
  }

  #contents(a: object, b: object, shape: string): void {
    if (Array.isArray(a) && Array.isArray(b)) this.#lists(a, b);
    else if (a instanceof Map && b instanceof Map) this.#maps(a, b);
    else if (a instanceof Set && b instanceof Set) this.#unordered([...a], [...b], a, b);
    else if (isBytes(a) && isBytes(b)) this.#bytes(a, b);
    else {
      const [legacy, candidate] = [contentOf(a), contentOf(b)];
      if (legacy === absent || candidate === absent) {
        this.#stop("opaque", `a ${shape} shows nothing that could be compared`);
      } else if (isRecord(legacy) && isRecord(candidate)) this.#fields(legacy, candidate);
      else this.compare(legacy, candidate);
    }
  }

  #fields(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): void {
    const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    if (!this.#spend(names.length)) return;
    // Sorted, so that both directions look at the same fields before a limit ends the walk.
    for (const name of names.sort()) {
      this.#inside(name, ownOf(a, name), ownOf(b, name));
    }
  }

  #inside(part: string, a: unknown, b: unknown): void {
    this.#parts.push(part);
    if (!this.#ignored()) this.compare(a, b);
    this.#parts.pop();
  }

  #lists(a: readonly unknown[], b: readonly unknown[]): void {
    if (a.length !== b.length) {
      this.#add("length", a, b);
      return;
    }
    if (!this.#spend(a.length)) return;
    const found = this.#differences.length;
    const wasTruncated = this.#truncated;
    for (let index = 0; index < a.length; index += 1) {
      this.#inside(String(index), a[index], b[index]);
    }
    const differs = this.#differences.length > found || this.#truncated;
    if (!differs || this.#limit !== null || this.#matching(a, b) !== true) return;
    this.#differences.length = found;
    this.#truncated = wasTruncated;
    this.#add("order", a, b);
  }

  #maps(a: ReadonlyMap<unknown, unknown>, b: ReadonlyMap<unknown, unknown>): void {
    const keys = [...a.keys(), ...b.keys()];
    if (!keys.every(isPrimitive)) {
      this.#unordered([...a], [...b], a, b);
      return;
    }
    if (!this.#spend(keys.length)) return;
    for (const key of new Set(keys)) this.#inside(String(key), a.get(key), b.get(key));
  }

  #unordered(a: readonly unknown[], b: readonly unknown[], left: object, right: object): void {
    if (a.length !== b.length) {
      this.#add("length", left, right);
      return;
    }
    const matching = this.#matching(a, b);
    if (matching === false) this.#add("value", left, right);
    else if (matching === null && this.#limit === null) {
      this.#stop("too-large", "objects without an order that are too many or too deep to match");
    }
  }

  /** Are these the same items in whatever order? Null when that would take too long to find out. */
  #matching(a: readonly unknown[], b: readonly unknown[]): boolean | null {
    if (!this.#spend(a.length)) return null;
    if (a.every(isPrimitive) && b.every(isPrimitive)) return sameCounts(a, b);
    if (a.length > diffLimits.unorderedObjects) return null;
    const rest = [...b];
    let cannotTell = false;
    for (const item of a) {
      const at = rest.findIndex((other) => {
        const equal = this.#probe(item, other);
        cannotTell ||= equal === null;
        return equal === true;
      });
      if (at < 0) return cannotTell ? null : false;
      rest.splice(at, 1);
    }
    return true;
  }

  /** Are two items of a collection equal? Null when that cannot be told. */
  #probe(a: unknown, b: unknown): boolean | null {
    const walk = new Walk(this.#patterns, this.#effort, [...this.#parts, "*"], 0);
    walk.compare(a, b);
    const { truncated, limit } = walk.result();
    if (truncated) return false;
    return limit === null ? true : null;
  }

  #bytes(a: object, b: object): void {
    const [legacy, candidate] = [bytesOf(a), bytesOf(b)];
    if (legacy.byteLength !== candidate.byteLength) this.#add("length", a, b);
    else if (Buffer.compare(legacy, candidate) !== 0) this.#add("value", a, b);
  }

  #ignored(): boolean {
    const parts = this.#parts;
    return this.#patterns.some(
      (pattern) =>
        pattern.length === parts.length &&
        pattern.every((part, index) => part === "*" || part === parts[index]),
    );
  }

  #spend(values: number): boolean {
    this.#effort.left -= values;
    if (this.#effort.left > 0) return true;
    this.#stop("too-large", `more than ${diffLimits.values} values`);
    return false;
  }

  #stop(why: DiffLimit, detail: string): void {
    this.#limit ??= { why, detail: `${detail}, at ${pathOf(this.#parts)}` };
  }

  #add(kind: DifferenceKind, a: unknown, b: unknown): void {
    if (this.#differences.length >= this.#max) {
      this.#truncated = true;
      return;
    }
    const secret = this.#parts.some(isSecretName);
    this.#differences.push({
      path: pathOf(this.#parts),
      kind,
      legacy: showValue(a, secret),
      candidate: showValue(b, secret),
    });
  }
}

function pathOf(parts: readonly string[]): string {
  return parts.length === 0 ? "(value)" : cut(parts.map(showPathPart).join("."), 200);
}

function shapeOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  if (Array.isArray(value)) return "array";
  // A Buffer and a Uint8Array hold the same thing; other views have another meaning.
  if (value instanceof Uint8Array || types.isAnyArrayBuffer(value)) return "bytes";
  return classOf(value);
}

function isBytes(value: object): boolean {
  return ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value);
}

function bytesOf(value: object): Uint8Array {
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  return new Uint8Array(value as ArrayBuffer);
}

/** What an object holds, as something that can be compared; `absent` when it does not show it. */
function contentOf(value: object): unknown {
  if (value instanceof Date) return value.getTime();
  if (value instanceof RegExp) return String(value);
  if (types.isBoxedPrimitive(value)) return value.valueOf();
  if (value instanceof Headers || value instanceof URLSearchParams) return [...value];
  if (value instanceof Error) {
    return { ...value, name: value.name, message: value.message, cause: value.cause };
  }
  // Promises and streams have to be consumed to be known, which is not ours to do here.
  if (types.isPromise(value) || Symbol.asyncIterator in value) return absent;
  if (classOf(value) === "Object" || Object.keys(value).length > 0) return value;
  const { toJSON } = value as { toJSON?: unknown };
  return typeof toJSON === "function" ? toJSON.call(value) : absent;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function ownOf(record: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function isPrimitive(value: unknown): boolean {
  return (typeof value !== "object" && typeof value !== "function") || value === null;
}

function sameCounts(a: readonly unknown[], b: readonly unknown[]): boolean {
  const counts = new Map<unknown, number>();
  for (const item of a) counts.set(item, (counts.get(item) ?? 0) + 1);
  for (const item of b) {
    const count = counts.get(item);
    if (count === undefined || count === 0) return false;
    counts.set(item, count - 1);
  }
  return true;
}
