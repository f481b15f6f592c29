import { CodedError, codeOf, toError } from "../../base/errors.ts";

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

/** The package that an import did not find, or null for every other error. */
function missingPackage(error: unknown): string | null {
  if (codeOf(error) !== "ERR_MODULE_NOT_FOUND") return null;
  const specifier = /Cannot find package '([^']+)'/.exec(toError(error).message)?.[1];
  if (specifier === undefined) return null;
  // Without a subpath: the name is the first part, or the first two with a scope.
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}
