import { CodedError } from "../../base/errors.ts";
import { missingPackage } from "../../base/missing-package.ts";

/**
 * Runs `load`, an import of something that needs packages which a core install does not bring. Throws
 * `CLI_PACKAGE_MISSING` naming the package and the npm command when one is missing; `purpose`
 * completes "… is needed for …".
 */
export async function withPackage<T>(purpose: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const name = missingPackage(cause);
    if (name === null) throw cause;
    throw new CodedError(
      "CLI_PACKAGE_MISSING",
      `The package ${name} is needed for ${purpose} and is not installed. Install it: npm install ${name} (changeover doctor lists all that are missing).`,
      { cause, details: { package: name } },
    );
  }
}
