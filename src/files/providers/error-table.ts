import type { CodedError } from "../../base/errors.ts";
import {
  type ProviderFailure,
  providerQuota,
  providerRejected,
  providerThrottled,
  providerUnauthorised,
  providerUnavailable,
} from "../provider-errors.ts";

/** What a provider's error means to us. */
export type ErrorMeaning =
  | "throttled"
  | "quota"
  | "unauthorised"
  | "unavailable"
  | "content-refused"
  | "rejected";

/** What an error answer says, in whatever shape the provider says it. */
export interface ErrorAnswer {
  readonly status: number;
  /** Kimi's `type`, or GLM's `code`: a string of digits. Empty when there is none. */
  readonly code: string;
  readonly message: string;
}

/** One line of a provider's table; what is left out matches everything. */
export interface ErrorRow {
  readonly codes?: readonly string[];
  readonly statuses?: readonly number[];
  readonly message?: RegExp;
  readonly meaning: ErrorMeaning;
}

const words = (text: string): readonly string[] => text.split(" ");

/**
 * Kimi names its errors by `type` (platform.kimi.ai, "Error codes"). Two of the three that come with
 * 429 pass by themselves; a used-up balance, a used-up day and a full account do not.
 */
export const kimiErrors: readonly ErrorRow[] = [
  { codes: ["exceeded_current_quota_error"], meaning: "quota" },
  { codes: ["rate_limit_reached_error"], message: /\bTPD\b|per day/i, meaning: "quota" },
  { codes: words("rate_limit_reached_error engine_overloaded_error"), meaning: "throttled" },
  {
    codes: words("invalid_authentication_error incorrect_api_key_error permission_denied_error"),
    meaning: "unauthorised",
  },
  { codes: words("server_error unexpected_output server_unavailable"), meaning: "unavailable" },
  { codes: ["invalid_request_error"], message: /max (file count|total size)/i, meaning: "quota" },
  { codes: ["content_filter"], meaning: "content-refused" },
  { codes: ["invalid_request_error"], message: /file|purpose/i, meaning: "content-refused" },
  { codes: words("invalid_request_error resource_not_found_error"), meaning: "rejected" },
];

/**
 * GLM names its errors by business codes (docs.bigmodel.cn and docs.z.ai, "Error codes"): 1113 arrears,
 * 1112 and 1121 locked, 1304 daily cap, 1308 and 1310 plan caps, 1302, 1303, 1305 and 1312 too much at
 * a time, 1120, 1230 and 1234 transient.
 */
export const glmErrors: readonly ErrorRow[] = [
  { codes: words("1112 1113 1121 1304 1308 1309 1310"), meaning: "quota" },
  { codes: words("1302 1303 1305 1312"), meaning: "throttled" },
  { codes: words("500 1120 1230 1234"), meaning: "unavailable" },
  {
    codes: words("1000 1001 1002 1003 1004 1100 1110 1111 1220 1221 1222"),
    meaning: "unauthorised",
  },
  { codes: words("1261 1300 1301"), meaning: "content-refused" },
  { codes: words("1200 1211 1231"), meaning: "rejected" },
  { statuses: [434], meaning: "unauthorised" },
  { statuses: [435], meaning: "content-refused" },
];

/** For answers that no table of a provider knows. */
const anyErrors: readonly ErrorRow[] = [
  { statuses: [401, 403, 407], meaning: "unauthorised" },
  { statuses: [429], meaning: "throttled" },
  { statuses: [408, 425], meaning: "unavailable" },
  { statuses: [400, 413, 415, 422], meaning: "content-refused" },
];

/** What does an error answer mean? First match in the provider's table, then by status. Pure. */
export function meaningOf(table: readonly ErrorRow[], answer: ErrorAnswer): ErrorMeaning {
  const row = [...table, ...anyErrors].find((each) => matches(each, answer));
  if (row !== undefined) return row.meaning;
  return answer.status >= 300 && answer.status < 500 ? "rejected" : "unavailable";
}

function matches({ codes, statuses, message }: ErrorRow, answer: ErrorAnswer): boolean {
  if (codes !== undefined && !codes.includes(answer.code)) return false;
  if (statuses !== undefined && !statuses.includes(answer.status)) return false;
  return message?.test(answer.message) ?? true;
}

/**
 * The error for a meaning. `uploading` tells whether what was refused came from the user; without it a
 * refusal is our own doing. Server errors leave open whether the write took place.
 */
export function errorFor(
  meaning: ErrorMeaning,
  failure: ProviderFailure,
  uploading: boolean,
): CodedError {
  switch (meaning) {
    case "throttled":
      return providerThrottled(failure);
    case "quota":
      return providerQuota(failure);
    case "unauthorised":
      return providerUnauthorised(failure);
    case "unavailable":
      return providerUnavailable(failure);
    case "content-refused":
      return providerRejected(failure, uploading ? 400 : 502);
    case "rejected":
      return providerRejected(failure, 502);
  }
}
