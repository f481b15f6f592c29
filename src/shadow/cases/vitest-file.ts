import type { MismatchCase } from "./mismatch-case.ts";
import { requireInput } from "./replay.ts";

/** How the test finds what it tests. */
export interface VitestOptions {
  /** Module that exports the operation's definition; default `./operations.ts`. */
  readonly module?: string;
  /** Name of that export; default made of the operation's name (`files.info` gives `filesInfo`). */
  readonly name?: string;
  /** Module of `replayInput`; default `changeover/testing`. */
  readonly testing?: string;
}

/**
 * The text of a vitest file that runs a case's input on both paths and expects them to answer alike: it
 * fails until the difference is mended. Holds all it needs but the operation's definition. Throws
 * `SHADOW_CASE_WITHOUT_INPUT`.
 */
export function vitestFile(kept: MismatchCase, options: VitestOptions = {}): string {
  requireInput(kept);
  const { id, operation, count, firstSeen, lastSeen, differences, input } = kept;
  const { module = "./operations.ts", testing = "changeover/testing" } = options;
  const name = identifier(options.name ?? camelCase(operation));
  const seen = differences.map(
    ({ path, kind, legacy, candidate }) =>
      `//   ${oneLine(path)} (${kind}): legacy ${oneLine(legacy)}, candidate ${oneLine(candidate)}`,
  );
  const title = `${operation} answers alike on both paths (mismatch ${id})`;
  return [
    `// Mismatch ${id} of ${oneLine(operation)}, seen ${count} times from ${firstSeen} to ${lastSeen}:`,
    ...seen,
    `// Needs the operation's definition: ${oneLine(module)} is to export it as ${name}.`,
    'import { expect, it } from "vitest";',
    `import { replayInput } from ${JSON.stringify(testing)};`,
    `import { ${name} } from ${JSON.stringify(module)};`,
    "",
    `const input = ${JSON.stringify(input, null, 2)};`,
    "",
    `it(${JSON.stringify(title)}, async () => {`,
    `  const { result, differences, detail } = await replayInput(${name}, input);`,
    '  expect({ result, differences, detail }).toEqual({ result: "same", differences: [], detail: null });',
    "});",
    "",
  ].join("\n");
}

function camelCase(operation: string): string {
  return operation.replace(/[.-]+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Whatever is asked for becomes a name that cannot be anything but a name. */
function identifier(name: string): string {
  const letters = name.replace(/[^A-Za-z0-9_$]/g, "");
  return /^[A-Za-z_$]/.test(letters) ? letters : `operation${letters}`;
}

function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ");
}
