import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";

const run = promisify(execFile);
const program = fileURLToPath(new URL("./fixtures/large-upload.ts", import.meta.url));

/** Prints figures of this machine; the machine decides what they are, so nothing is asserted of time. */
describe.skipIf(process.env["CHANGEOVER_SYSTEM"] === undefined)(
  "the event loop while a large file is uploaded (needs CHANGEOVER_SYSTEM=1)",
  () => {
    let folder: string;
    let sandbox: Sandbox;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "changeover-loop-"));
      sandbox = await startSandbox({ dataDir: join(folder, "sandbox") });
    });
    afterAll(async () => {
      await sandbox.close();
      await rm(folder, { recursive: true, force: true });
    });

    it.each([
      ["candidate", 1024],
      ["candidate", 50],
      ["legacy", 512],
      ["legacy", 50],
    ])("goes on turning on %s with %i MiB", async (kind, mib) => {
      const { url, secretKey, bucket } = sandbox.addresses.supabase;
      const bytes = String(mib * 2 ** 20);
      const words = [program, kind, join(folder, "large.bin"), bytes, url, secretKey, bucket];
      const { stdout } = await run(process.execPath, words);
      console.log(stdout);
      const { turnsPerSecond } = JSON.parse(stdout) as { turnsPerSecond: number };
      expect(turnsPerSecond).toBeGreaterThan(0);
    });
  },
);
