import { CodedError } from "../../../base/errors.ts";

/** The one operation that was typed in full or by its last part. Throws `MIGRATION_UNKNOWN_OPERATION`. */
export function namedOperation<T extends { readonly name: string }>(
  operations: readonly T[],
  typed: string,
): T {
  const exact = operations.filter(({ name }) => name === typed);
  const found =
    exact.length > 0 ? exact : operations.filter(({ name }) => name.endsWith(`.${typed}`));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const names = operations.map(({ name }) => name).join(", ");
  throw new CodedError(
    "MIGRATION_UNKNOWN_OPERATION",
    `There is no operation "${typed.slice(0, 80)}". Known: ${names}.`,
    { status: 404 },
  );
}
