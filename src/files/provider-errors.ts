import { CodedError, type CodedErrorOptions } from "../base/errors.ts";
import { failureOptions, type WriteEffect } from "./errors.ts";
import type { ProviderName } from "./file-manager.ts";

/** The provider an error came from. */
export type ErrorProvider = Exclude<ProviderName, "none">;

/** What is known about a failure of an AI provider. */
export interface ProviderFailure {
  readonly provider: ErrorProvider;
  /** What was being done, such as `uploading a file`. */
  readonly during: string;
  /** Why, in a few words. Never contents or keys. */
  readonly reason: string;
  /** The HTTP status the provider answered with, when it answered. */
  readonly providerStatus?: number | undefined;
  /** The provider's own `type` or `code`. */
  readonly providerCode?: string | undefined;
  /** The provider's request id, for its support. */
  readonly requestId?: string | undefined;
  readonly effect?: WriteEffect;
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
  /** More machine-readable facts, such as a limit and what was found. */
  readonly facts?: Readonly<Record<string, unknown>>;
}

/** The provider did not answer, answered nonsense, or has an outage. */
export function providerUnavailable(failure: ProviderFailure): CodedError {
  return new CodedError(
    "FILES_PROVIDER_UNAVAILABLE",
    `Provider ${failure.provider} did not answer properly while ${failure.during}: ${failure.reason}. Try again later.`,
    { ...providerOptions(failure), status: 503, retryable: true },
  );
}

/**
 * The provider refused this request and will refuse it again. `status` 400 when what the user sent was
 * refused, 502 (default) when the request itself was wrong.
 */
export function providerRejected(failure: ProviderFailure, status: 400 | 502 = 502): CodedError {
  const advice =
    status === 400 ? "Change the file or its purpose." : "Check the provider's settings.";
  return new CodedError(
    "FILES_PROVIDER_REJECTED",
    `Provider ${failure.provider} refused while ${failure.during}: ${failure.reason}. ${advice}`,
    { ...providerOptions({ effect: "absent", ...failure }), status },
  );
}

/** The provider is busy or asks for fewer requests: the same call works later. */
export function providerThrottled(failure: ProviderFailure): CodedError {
  const wait =
    failure.retryAfterSeconds === undefined
      ? "Try again later"
      : `Try again in ${failure.retryAfterSeconds} s`;
  return new CodedError(
    "FILES_PROVIDER_THROTTLED",
    `Provider ${failure.provider} asks to slow down while ${failure.during}: ${failure.reason}. ${wait}.`,
    { ...providerOptions({ effect: "absent", ...failure }), status: 429, retryable: true },
  );
}

/** A quota, balance or count at the provider is used up: waiting does not help. */
export function providerQuota(failure: ProviderFailure): CodedError {
  return new CodedError(
    "FILES_PROVIDER_QUOTA",
    `A quota at provider ${failure.provider} is used up while ${failure.during}: ${failure.reason}. Remove files there, or raise the quota or balance.`,
    { ...providerOptions({ effect: "absent", ...failure }), status: 429 },
  );
}

/** The provider does not take our key, or the key may not do this. */
export function providerUnauthorised(failure: ProviderFailure): CodedError {
  return new CodedError(
    "FILES_PROVIDER_UNAUTHORISED",
    `Provider ${failure.provider} refused our key while ${failure.during}: ${failure.reason}. Check the key and the base URL: keys of one region do not work in another.`,
    { ...providerOptions({ effect: "absent", ...failure }), status: 502 },
  );
}

/** Settings with which a provider cannot be reached; `why` never names the key. */
export function providerMisconfigured(provider: ErrorProvider, why: string): CodedError {
  return new CodedError(
    "FILES_PROVIDER_MISCONFIGURED",
    `Provider ${provider} cannot be used: ${why}. Correct the configuration.`,
    { status: 500, details: { provider } },
  );
}

function providerOptions(failure: ProviderFailure): CodedErrorOptions {
  const { provider, providerStatus, providerCode, requestId } = failure;
  const shared = failureOptions(failure);
  return {
    ...shared,
    details: {
      ...shared.details,
      provider,
      providerStatus,
      providerCode,
      requestId,
      ...failure.facts,
    },
  };
}
