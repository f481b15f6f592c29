import { CodedError } from "../../base/errors.ts";

/** No provider takes this file. `reasons` says for each of them why, in one sentence. */
export function noProvider(
  reasons: readonly string[],
  { mayChange }: { readonly mayChange: boolean },
): CodedError {
  const advice = mayChange ? "Try again later." : "Change the file, its type or its purpose.";
  return new CodedError(
    "FILES_NO_PROVIDER",
    `No provider can take this file: ${reasons.join("; ")}. ${advice}`,
    { status: mayChange ? 503 : 422, retryable: mayChange, details: { reasons, effect: "absent" } },
  );
}
