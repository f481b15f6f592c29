import { CodedError, codeOf } from "../../base/errors.ts";

/** Loads the Unleash SDK. Throws `FLAGS_PACKAGE_MISSING` when unleash-client is not installed. */
export async function loadSdk(): Promise<typeof import("unleash-client")> {
  try {
    return await import("unleash-client");
  } catch (error) {
    if (codeOf(error) !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new CodedError(
      "FLAGS_PACKAGE_MISSING",
      "Flags from files or from Unleash are judged by the Unleash SDK: npm install unleash-client",
      { cause: error },
    );
  }
}
