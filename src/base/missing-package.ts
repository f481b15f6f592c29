import { codeOf, toError } from "./errors.ts";

/** The npm package that an import or a `require` did not find, or null for every other error. */
export function missingPackage(error: unknown): string | null {
  const code = codeOf(error);
  if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") return null;
  const { message } = toError(error);
  // A path is a file of ours that is missing: no package.
  const specifier = /Cannot find (?:package|module) '([^'./][^']*)'/.exec(message)?.[1];
  if (specifier === undefined) return null;
  // Without a subpath: the name is the first part, or the first two with a scope.
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}
