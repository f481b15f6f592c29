import { LRUCache } from "lru-cache";
import { hashKey } from "../engine/failure-keys.ts";
import type { NewExceptionPolicy } from "../policy.ts";

/** What kind of exception something is, without anything that belongs to one call. */
export interface Fingerprint {
  /** Class, code, normalised message and the top frame of own code: one defect. */
  readonly id: string;
  /**
   * The same kind on the other path. Both paths live in different files, so frames cannot agree: an
   * error with a code is its code; one without is its class and message; only a programming error
   * (`TypeError` and the like) is told apart by its place as well.
   */
  readonly kind: string;
  readonly className: string;
  readonly code: string | null;
  /** For people: class, code and place; never the message, which may hold contents. */
  readonly label: string;
}

const programmingErrors = new Set(["TypeError", "RangeError", "ReferenceError", "SyntaxError"]);

/** The fingerprint of whatever was thrown. */
export function fingerprintOf(thrown: unknown): Fingerprint {
  const error = thrown instanceof Error ? thrown : null;
  const className = (error?.constructor?.name ?? typeof thrown).slice(0, 80);
  const code = innermostCode(thrown);
  const message = hashKey(normalise(error === null ? String(thrown) : error.message)).toString(36);
  const frame = topOwnFrame(error?.stack);
  const bare = programmingErrors.has(className)
    ? `${className} ${message} ${frame}`
    : `${className} ${message}`;
  return {
    id: `${className} ${code ?? ""} ${message} ${frame}`,
    kind: code === null ? bare : `code ${code}`,
    className,
    code,
    label: [className, code, frame === "" ? null : `in ${frame}`]
      .filter((part) => part !== null)
      .join(" "),
  };
}

/** An HTTP client's own error often wraps the one that has the code. */
function innermostCode(thrown: unknown): string | null {
  let found: string | null = null;
  let each = thrown as { code?: unknown; cause?: unknown } | null | undefined;
  for (let depth = 0; depth < 4 && each !== null && typeof each === "object"; depth += 1) {
    if (typeof each.code === "string" && each.code !== "") found = each.code.slice(0, 80);
    each = each.cause as typeof each;
  }
  return found;
}

function normalise(message: string): string {
  return message
    .slice(0, 500)
    .replace(/"[^"]*"|'[^']*'|`[^`]*`/g, "?")
    .replace(/\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{12,}\b/gi, "#")
    .replace(/\S*[@/\\]\S*/g, "?")
    .replace(/\d+/g, "#");
}

/** Function and file of the first frame that is neither Node's nor a package's; no line numbers. */
function topOwnFrame(stack: string | undefined): string {
  for (const line of stack?.slice(0, 4000).split("\n") ?? []) {
    const frame = /^\s+at (?:(.*?) \()?(.*?):\d+:\d+\)?$/.exec(line);
    const file = frame?.[2];
    if (file === undefined || file.startsWith("node:") || file.includes("node_modules")) continue;
    return `${frame?.[1] ?? "anonymous"} ${file.split(/[/\\]/).slice(-2).join("/")}`;
  }
  return "";
}

/** One kind that legacy never threw. */
export interface UnknownException {
  readonly label: string;
  /** The last occurrences, oldest first, as many as breach. */
  readonly times: readonly number[];
  readonly keys: readonly number[];
}

interface Occurrences {
  readonly label: string;
  times: number[];
  keys: number[];
}

const overflow = "overflow";

/**
 * Which kinds of exceptions are known, and how often an unknown one was blamed on the candidate. Known is
 * what legacy threw, what the candidate threw in the shadow, and the allow list. Bounded: kinds beyond
 * the limit share one overflow entry, so that messages that never repeat cannot fill the memory.
 */
export class Exceptions {
  readonly #policy: NewExceptionPolicy;
  readonly #known: LRUCache<string, true>;
  readonly #rehearsed: LRUCache<string, true>;
  readonly #unknown = new Map<string, Occurrences>();
  #last: Occurrences | null = null;

  constructor(policy: NewExceptionPolicy) {
    this.#policy = policy;
    this.#known = new LRUCache({ max: policy.rememberedMax });
    this.#rehearsed = new LRUCache({ max: policy.rememberedMax });
  }

  /** Legacy threw it. */
  learn(fingerprint: Fingerprint): void {
    this.#known.set(fingerprint.kind, true);
  }

  /** The candidate threw it in the shadow. */
  learnRehearsed(fingerprint: Fingerprint): void {
    this.#rehearsed.set(fingerprint.id, true);
  }

  /** The candidate threw it on a call of its own; returns null for a known kind. */
  blame(fingerprint: Fingerprint, keyHash: number, nowMs: number): UnknownException | null {
    if (this.#isKnown(fingerprint)) return null;
    const entry = this.#entry(fingerprint);
    entry.times.push(nowMs);
    entry.keys.push(keyHash);
    if (entry.times.length > this.#policy.blamedMin) {
      entry.times.shift();
      entry.keys.shift();
    }
    this.#last = entry;
    return entry;
  }

  /** The unknown kind that was blamed last. */
  get last(): UnknownException | null {
    return this.#last;
  }

  forgetUnknown(): void {
    this.#unknown.clear();
    this.#last = null;
  }

  #isKnown({ id, kind, code, className }: Fingerprint): boolean {
    const { allowed } = this.#policy;
    if (allowed.includes(className) || (code !== null && allowed.includes(code))) return true;
    return this.#known.get(kind) === true || this.#rehearsed.get(id) === true;
  }

  #entry({ id, label }: Fingerprint): Occurrences {
    const full = this.#unknown.size >= this.#policy.rememberedMax;
    const name = this.#unknown.has(id) || !full ? id : overflow;
    let entry = this.#unknown.get(name);
    if (entry === undefined) {
      entry = {
        label: name === overflow ? "an exception that never repeats" : label,
        times: [],
        keys: [],
      };
      this.#unknown.set(name, entry);
    }
    return entry;
  }
}
