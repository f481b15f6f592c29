import { CodedError } from "../../base/errors.ts";

/** The addresses of one Unleash server. */
export interface UnleashAddress {
  /** Scheme, host and port: what is told in messages. */
  readonly host: string;
  /** For the SDK: ends in `/api/`. */
  readonly client: string;
  /** For the Admin API: ends in `/api/admin`. */
  readonly admin: string;
}

/**
 * Reads the address of an Unleash server, with or without `/api` behind it, as in
 * `https://unleash.example.com` or `http://127.0.0.1:4242/api`. Throws `FLAGS_INVALID_OPTIONS`.
 */
export function parseUnleashAddress(url: string): UnleashAddress {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw invalid("url", "is not an http or https address such as https://unleash.example.com/api");
  }
  if (parsed.username !== "" || parsed.password !== "") {
    throw invalid("url", "carries a user name or password; give a token instead");
  }
  const base = `${parsed.origin}${parsed.pathname}`.replace(/\/+$/, "").replace(/\/api$/, "");
  return { host: parsed.origin, client: `${base}/api/`, admin: `${base}/api/admin` };
}

/** Throws `FLAGS_INVALID_OPTIONS` for a text that is missing. */
export function requireText(name: string, value: unknown): string {
  if (typeof value === "string" && value.trim() !== "") return value;
  throw invalid(name, "is missing");
}

/** Throws `FLAGS_INVALID_OPTIONS` for a number outside its limits. */
export function requireBetween(name: string, value: number, min: number, max: number): number {
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw invalid(name, `is ${value}; use a number from ${min} to ${max}`);
}

function invalid(name: string, what: string): CodedError {
  return new CodedError("FLAGS_INVALID_OPTIONS", `The option ${name} of Unleash flags ${what}.`, {
    status: 400,
    details: { option: name },
  });
}
