import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";

const run = promisify(execFile);
const program = fileURLToPath(new URL("./fixtures/complete-files.ts", import.meta.url));
const legacy = new URL("../../src/files/legacy/legacy-file-manager.ts", import.meta.url).href;

describe("the file system once legacy was removed", () => {
  let folder: string;
  let sandbox: Sandbox;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "changeover-complete-"));
    sandbox = await startSandbox({ dataDir: join(folder, "sandbox") });
  }, 120_000);
  afterAll(async () => {
    await sandbox.close();
    await rm(folder, { recursive: true, force: true });
  });
  const words = (...more: string[]): string[] => {
    const { url, secretKey, bucket } = sandbox.addresses.supabase;
    return [program, join(folder, "file.bin"), url, secretKey, bucket, ...more];
  };

  it("stores, lists, reads and deletes files without loading a module of the legacy folder", async () => {
    const { stdout } = await run(process.execPath, words());
    expect(JSON.parse(stdout)).toEqual({
      reasons: ["complete"],
      listed: [true],
      sizeBytes: 100_000,
      intact: true,
      left: 0,
    });
  }, 60_000);

  it("would be told of one that is loaded", async () => {
    await expect(run(process.execPath, words(legacy))).rejects.toThrow(
      "The legacy path was loaded",
    );
  }, 60_000);
});
