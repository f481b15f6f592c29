import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";

/** A new folder that is gone at the end of an `await using` scope, or when asked to. */
export class TestFolder implements AsyncDisposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "changeover-test-"));

  in(...parts: readonly string[]): string {
    return join(this.path, ...parts);
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true, force: true, maxRetries: 5 });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }
}

/** A folder of its own for each test of the file or of the `describe` that calls this. */
export function eachTestFolder(): Pick<TestFolder, "path" | "in"> {
  let folder: TestFolder | null = null;
  const now = (): TestFolder => {
    if (folder === null) throw new Error("There is a folder within a test only.");
    return folder;
  };
  beforeEach(() => {
    folder = new TestFolder();
  });
  afterEach(async () => {
    await folder?.remove();
    folder = null;
  });
  return {
    get path() {
      return now().path;
    },
    in: (...parts) => now().in(...parts),
  };
}
