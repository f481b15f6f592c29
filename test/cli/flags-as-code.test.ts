import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FakeUnleash } from "../flags/unleash/fake-unleash.ts";
import { changeover } from "./command-line.ts";

describe("flag files and Unleash on the command line", () => {
  it.each(["diff", "check", "push", "pull"])(
    "flags %s names the settings it needs",
    async (verb) => {
      const { code, stderr } = await changeover(["flags", verb]);
      expect(code).toBe(2);
      expect(stderr).toContain("CHANGEOVER_UNLEASH_URL");
      expect(stderr).toContain("CHANGEOVER_UNLEASH_ADMIN_TOKEN");
    },
  );

  it("never prints the token when the server refuses it", async () => {
    const fake = await FakeUnleash.start();
    fake.fault = () => ({ status: 401 });
    const environment = {
      CHANGEOVER_UNLEASH_URL: fake.url,
      CHANGEOVER_UNLEASH_ADMIN_TOKEN: "user:secret-of-mine",
    };
    const { code, stdout, stderr } = await changeover(["flags", "check"], { environment });
    await fake.close();
    expect(code).toBe(1);
    expect(stderr).toContain("FLAGS_UNLEASH_UNAUTHORISED");
    expect(stdout + stderr).not.toContain("secret-of-mine");
  });

  it("stops at a flag file that is wrong, before it asks Unleash", async () => {
    const folder = await mkdtemp(join(tmpdir(), "changeover-flags-"));
    await writeFile(join(folder, "files.upload.json"), "{");
    const environment = {
      CHANGEOVER_FLAGS_DIR: folder,
      CHANGEOVER_UNLEASH_URL: "http://127.0.0.1:9",
      CHANGEOVER_UNLEASH_ADMIN_TOKEN: "t",
    };
    const { code, stderr } = await changeover(["flags", "push"], { environment });
    await rm(folder, { recursive: true });
    expect(code).toBe(2);
    expect(stderr).toContain("FLAGS_INVALID_FILE");
  });
});
