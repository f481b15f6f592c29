import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

/** The root of the checkout. */
export const root: string = join(import.meta.dirname, "../..");

/** One source file of the repository. */
export interface SourceFile {
  /** Path from the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

const skipped = new Set(["node_modules", "dist", "results", "coverage"]);

/** Every file below `folder` (from the root) whose name ends like one of `endings`. */
export function sourcesIn(folder: string, endings: readonly string[] = [".ts"]): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .filter((path) => !path.split("/").some((part) => skipped.has(part)))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}
