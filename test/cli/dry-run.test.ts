import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { TestFolder } from "../support/test-folder.ts";
import { changeover, errorOf, type Started, startChangeover } from "./command-line.ts";

vi.setConfig({ testTimeout: 60_000 });

const folder = new TestFolder();
let started: Started;
const here = (): string[] => ["--data-dir", started.dataDir, "--json"];
const run = async (...words: string[]) => {
  const ran = await changeover([...words, ...here()]);
  return { ...ran, json: JSON.parse(ran.stdout || "null") };
};

beforeAll(async () => {
  started = await startChangeover(folder.in("data"));
  writeFileSync(folder.in("a.pdf"), randomBytes(300_000));
  writeFileSync(folder.in("b.txt"), "some text");
  // What Windows runs, under the name of a document.
  writeFileSync(folder.in("invoice.pdf"), Buffer.from("4d5a900003000000", "hex"));
});
afterAll(async () => {
  started?.child.kill("SIGTERM");
  await started?.end;
  await folder.remove();
});

describe("--dry-run", () => {
  it("of an upload checks everything, chooses a provider, and sends nothing", async () => {
    const files = ["a.pdf", "b.txt", "invoice.pdf"].map((name) => folder.in(name));
    const kimi = await run("upload", ...files, "--provider", "kimi", "--dry-run");
    expect(kimi.code).toBe(6);
    expect(kimi.json).toMatchObject({
      wouldUpload: [
        { name: "a.pdf", sizeBytes: 300_000, provider: "kimi", purpose: "file-extract" },
        { name: "b.txt", mimeType: "text/plain" },
      ],
      failed: [{ error: { code: "FILES_BLOCKED_TYPE" } }],
    });
    const auto = await run("upload", folder.in("b.txt"), "--provider", "auto", "--dry-run");
    expect(auto.json.wouldUpload[0].providerReasons.length).toBeGreaterThan(0);
    expect((await run("ls")).json.files).toEqual([]);
  });

  it("of rm and of verify --fix removes nothing", async () => {
    const { json } = await run("upload", folder.in("b.txt"));
    const [{ id }] = json.uploaded;
    const nobody = "0b8f7c1e-5a35-4c7e-9d57-0a6f2f1c9e10";
    const removal = await run("rm", id, nobody, "--dry-run");
    expect(removal).toMatchObject({ code: 6, json: { wouldDelete: [id] } });
    const gateway = ["rm", id, "--dry-run", "--gateway", started.gateway, "--json"];
    expect(JSON.parse((await changeover(gateway)).stdout)).toMatchObject({ wouldDelete: [id] });
    expect((await run("ls")).json.files).toHaveLength(1);
    expect((await run("verify", "--fix", "--dry-run", "--grace", "0")).code).toBe(0);
    expect((await run("rm", id)).json).toMatchObject({ deleted: [id] });
  });

  it("is told that an upload through a gateway cannot be tried", async () => {
    const words = ["upload", folder.in("b.txt"), "--dry-run", "--gateway", started.gateway];
    const ran = await changeover([...words, "--json"]);
    expect([ran.code, errorOf(ran).code]).toEqual([2, "CLI_USAGE"]);
  });
});

describe("--bwlimit", () => {
  it("slows a transfer down on either path and through a gateway, and changes no byte", async () => {
    const limit = ["--bwlimit", "200000"];
    for (const way of [
      ["--path", "legacy"],
      ["--path", "candidate"],
      ["--gateway", ""],
    ]) {
      const words = way.map((word) => (word === "" ? started.gateway : word));
      const startedMs = performance.now();
      const { json } = await run("upload", folder.in("a.pdf"), ...words, ...limit);
      // A lower bound: of 300 kB the first second's worth goes at once.
      expect(performance.now() - startedMs).toBeGreaterThan(450);
      const target = folder.in("back.pdf");
      const { id } = json.uploaded[0];
      const down = await run("download", id, "-o", target, "--force", ...words, ...limit);
      expect(down.code).toBe(0);
      expect(readFileSync(target).equals(readFileSync(folder.in("a.pdf")))).toBe(true);
    }
    const checked = await run("verify", "--hash", ...limit);
    expect(checked).toMatchObject({ code: 0, json: { ok: true, hashedBytes: 300_000 } });
  });

  it("is refused where it would say nothing", async () => {
    const alone = await run("verify", "--bwlimit", "200000");
    expect(errorOf(alone)).toMatchObject({ code: "CLI_USAGE" });
    const resumed = await run("upload", folder.in("a.pdf"), "--resume", "--bwlimit", "200000");
    expect(errorOf(resumed).message).toContain("--resume and --bwlimit");
    const slow = await run("download", "x", "--bwlimit", "10");
    expect(errorOf(slow).message).toContain("from 65536");
  });

  it("of a backfill says how much it would read; what could only find nothing is refused", async () => {
    const counted = await run("backfill", "--dry-run");
    expect(counted).toMatchObject({ code: 0, json: { objects: 0, bytes: 0, failed: [] } });
    const inWords = await changeover(["backfill", "--dry-run", "--data-dir", folder.in("data")]);
    expect(inWords.stdout).toContain("0 B to be read.");
    for (const [words, message] of [
      [["--prefix", "user-files"], /ends with a slash.*not "user-files"/],
      [["--prefix", "/user-files/"], /begins with none.*not "\/user-files\/"/],
      [["--dry-run", "--validate-only"], /give one of them/],
    ] as const) {
      const refused = await run("backfill", ...words);
      expect([refused.code, errorOf(refused).code]).toEqual([2, "CLI_USAGE"]);
      expect(errorOf(refused).message).toMatch(message);
    }
    const nobody = await run("backfill", "--owner", "");
    expect([nobody.code, errorOf(nobody).code]).toEqual([2, "FILES_INVALID_OWNER"]);
  });
});
