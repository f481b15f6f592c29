import { invalidName } from "./errors.ts";

/** The longest file name, in bytes of UTF-8: what common file systems take. */
export const MAX_NAME_BYTES = 255;

/**
 * Checks the name of an upload and returns it in Unicode's composed form (NFC), so that the same name
 * typed on two systems is one name. It must not be empty or only spaces, hold at most 255 bytes of
 * UTF-8, be no path (no `/` or `\`, not `.` or `..`) and have no control characters, line separators
 * or bidirectional overrides and isolates, with which a name can show another extension than it has.
 * Letters of every script and emoji are welcome. Throws `FILES_INVALID_NAME` saying what is wrong.
 */
export function normalFileName(name: string): string {
  const normal = name.normalize("NFC");
  const rule = refusals.find((each) => each.when(normal));
  if (rule !== undefined) throw invalidName(name, rule.why(normal));
  return normal;
}

interface Refusal {
  readonly when: (name: string) => boolean;
  readonly why: (name: string) => string;
}

const says =
  (why: string): (() => string) =>
  () =>
    why;

/** First match wins. */
const refusals: readonly Refusal[] = [
  {
    when: (name) => name.trim() === "",
    why: says("is empty. Give the file a name"),
  },
  {
    when: (name) => !name.isWellFormed(),
    why: says("is not valid Unicode: it has half of a surrogate pair. Send it as UTF-8"),
  },
  {
    when: (name) => name === "." || name === "..",
    why: says("names a folder. Give the file a name of its own"),
  },
  {
    when: (name) => /[/\\]/.test(name),
    why: says("is a path. Send the last part only, without / or \\"),
  },
  {
    when: (name) => /[\p{Cc}\u2028\u2029]/u.test(name),
    why: (name) =>
      `has the control character ${codePointOf(name, /[\p{Cc}\u2028\u2029]/u)}. Remove it`,
  },
  {
    when: (name) => bidiControl.test(name),
    why: (name) =>
      `has the bidirectional control ${codePointOf(name, bidiControl)}, which can disguise its extension. Remove it`,
  },
  {
    when: (name) => Buffer.byteLength(name) > MAX_NAME_BYTES,
    why: (name) =>
      `has ${Buffer.byteLength(name)} bytes of UTF-8; the limit is ${MAX_NAME_BYTES}. Shorten it`,
  },
];

/** Embeddings and overrides (U+202A to U+202E) and isolates (U+2066 to U+2069), Unicode annex 9. */
const bidiControl = /[\u202a-\u202e\u2066-\u2069]/;

function codePointOf(name: string, pattern: RegExp): string {
  const code = pattern.exec(name)?.[0].codePointAt(0) ?? 0;
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The part after the last dot in lower case, without the dot; empty when there is none. */
export function extensionOf(name: string): string {
  const dot = name.lastIndexOf(".");
  return dot <= 0 ? "" : name.slice(dot + 1).toLowerCase();
}

/**
 * The name under which what is still arriving lies beside its target: hidden, told apart by `id`, and
 * short enough for any name the target may have. No character is cut in two.
 */
export function partName(name: string, id: string): string {
  const frame = Buffer.byteLength(`..${id}.part`);
  const beginning = Buffer.from(name).subarray(0, MAX_NAME_BYTES - frame);
  return `.${new TextDecoder().decode(beginning, { stream: true })}.${id}.part`;
}
