/** How much of a compared value may ever be shown. */
const shownLimits = {
  valueChars: 200,
  pathPartChars: 60,
};

const masked = "(masked)";

// Whole words of a field's name, after `accessToken` and `access_token` were split into words.
const secretWords =
  /\b(pwd|pass|auth|oauth|session|signature|jwt|otp|pin|cvv|cvc|ssn|iban|bearer|private key|access key|signing key|card number|email|phone)\b/;
// Telling enough to be found inside a longer word.
const secretParts =
  /passw|passphrase|passcode|secret|token|credential|cookie|authorization|api ?key|privatekey|accesskey/;
// Well-known beginnings of credentials: JSON web tokens, bearer headers, vendor keys, PEM blocks.
const secretValue =
  /^(eyJ[\w-]{8,}|Bearer\s|Basic\s|sk[-_]\w|sb[a-z]?_\w|gh[pousr]_\w|-----BEGIN )/;

/** Does a field of this name probably hold a secret, or something that identifies a person? */
export function isSecretName(name: string): boolean {
  const words = name
    .slice(0, 200)
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/[^A-Za-z0-9]+/g, " ")
    .toLowerCase();
  return secretWords.test(words) || secretParts.test(words);
}

/** One part of a dotted path as it may be shown: short, printable, and masked when it is a credential. */
export function showPathPart(part: string): string {
  if (secretValue.test(part)) return masked;
  return cut(printable(part), shownLimits.pathPartChars);
}

/**
 * A value as it may be shown and kept: primitives shortened to 200 characters, everything else by its
 * class and size only. With `secret`, or for what looks like a credential, `(masked)`.
 */
export function showValue(value: unknown, secret: boolean): string {
  if (value === undefined) return "undefined";
  if (secret) return masked;
  if (typeof value === "string") {
    if (secretValue.test(value)) return masked;
    return cut(JSON.stringify(value.slice(0, shownLimits.valueChars)), shownLimits.valueChars);
  }
  if (typeof value === "bigint") return cut(`${value}n`, shownLimits.valueChars);
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) {
    return cut(printable(Object.is(value, -0) ? "-0" : String(value)), shownLimits.valueChars);
  }
  return cut(showObject(value), shownLimits.valueChars);
}

/** A value as JSON with its secrets masked. Throws for what JSON cannot say. */
export function maskedJson(value: unknown): string {
  const text = JSON.stringify(value, (name, each: unknown) => {
    if (name !== "" && isSecretName(name)) return masked;
    return typeof each === "string" && secretValue.test(each) ? masked : each;
  });
  if (text === undefined) throw new TypeError("JSON cannot say this value.");
  return text;
}

function showObject(value: object): string {
  if (Array.isArray(value)) return `${value.length} items`;
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? "an invalid date" : value.toISOString();
  }
  if (value instanceof Map || value instanceof Set) return `${value.size} entries`;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `${value.byteLength} bytes`;
  return `${printable(classOf(value))} with ${Object.keys(value).length} fields`;
}

/**
 * The name of an object's class: `Object` for plain objects and those without a prototype, `(unnamed)`
 * for what has no class that could be named, such as a generator.
 */
export function classOf(value: object): string {
  const prototype = Object.getPrototypeOf(value) as { constructor?: unknown } | null;
  if (prototype === null) return "Object";
  const made = prototype.constructor;
  return typeof made === "function" && made.name !== "" ? made.name : "(unnamed)";
}

/** Shortens a text to `max` characters and says so with an ellipsis; never splits a character. */
export function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1).toWellFormed()}…`;
}

function printable(text: string): string {
  return text
    .slice(0, shownLimits.valueChars * 2)
    .toWellFormed()
    .replace(/\p{Cc}/gu, " ");
}
