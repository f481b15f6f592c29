import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeUnleash } from "../flags/unleash/fake-unleash.ts";
import { TestFolder } from "../support/test-folder.ts";
import { changeover, errorOf, type Ran } from "./command-line.ts";

vi.setConfig({ testTimeout: 90_000 });

const operations = ["delete", "download", "info", "list", "upload"].map((name) => `files.${name}`);

interface Answer {
  readonly reached: string;
  readonly routes: readonly { readonly route: string; readonly state: string }[];
}

describe("changeover rollback with an Unleash, while nothing runs", () => {
  let folder: TestFolder;
  let unleash: FakeUnleash;
  beforeEach(async () => {
    folder = new TestFolder();
    unleash = await FakeUnleash.start();
    unleash.put("files", true, [{ rollout: "100" }]);
    for (const name of operations) unleash.put(name, true, [{ rollout: "50" }], "files");
  });
  afterEach(async () => {
    await unleash.close();
    await folder.remove();
  });

  const run = (words: readonly string[], more: Record<string, string> = {}): Promise<Ran> =>
    changeover(
      ["rollback", ...words, "--reason", "wrong hashes", "--data-dir", folder.in("data")],
      {
        environment: {
          CHANGEOVER_UNLEASH_URL: unleash.url,
          CHANGEOVER_UNLEASH_ADMIN_TOKEN: "user:secret-of-mine",
          ...more,
        },
      },
    );

  it("switches everything off there, and prints which routes worked", async () => {
    const ran = await run(["--all"]);
    expect(ran.code).toBe(0);
    expect(ran.stderr).toMatch(/Without a process of changeover, since Nothing is running/);
    expect(ran.stdout).toMatch(/^unleash +worked +kill switch of files; 5 of 5 flags off/m);
    expect(ran.stdout).toMatch(/^postgres +not-set-up/m);
    for (const name of ["files", ...operations]) {
      expect(unleash.features.get(name)?.enabled).toBe(false);
    }
    expect(readFileSync(folder.in("data", "journal.ndjson"), "utf8")).toContain("wrong hashes");
  });

  it("ends with 6 when it reached the callers of some operations, and with 1 of none", async () => {
    unleash.fault = (line) =>
      line.startsWith("POST") && !line.includes("list") ? { status: 401 } : null;
    const some = await run(["--all", "--json"]);
    expect(some.code).toBe(6);
    expect(JSON.parse(some.stdout) as Answer).toMatchObject({
      reached: "some",
      routes: [{ route: "unleash", state: "partly" }, { state: "not-set-up" }],
    });
    unleash.fault = () => ({ status: 401 });
    const none = await run(["upload", "--json"]);
    expect(none.code).toBe(1);
    expect(JSON.parse(none.stdout) as Answer).toMatchObject({ reached: "none" });
    expect(none.stdout + none.stderr).not.toContain("secret-of-mine");
  });

  it("does so too when the named gateway is gone", async () => {
    const ran = await run(["upload", "--gateway", "http://127.0.0.1:9", "--json"]);
    expect(ran.code).toBe(0);
    expect(unleash.features.get("files.upload")?.enabled).toBe(false);
    expect(unleash.features.get("files.list")?.enabled).toBe(true);
  });

  it("refuses an operation that does not exist", async () => {
    const ran = await run(["uplaod", "--json"]);
    expect([ran.code, errorOf(ran).code]).toEqual([2, "MIGRATION_UNKNOWN_OPERATION"]);
    expect(unleash.writes).toEqual([]);
  });

  it("does not wait for a process that is there and hangs", async () => {
    const silent = createServer((socket) => socket.on("error", () => undefined));
    await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
    const { port } = silent.address() as AddressInfo;
    const ran = await run(["upload", "--gateway", `http://127.0.0.1:${port}`], {
      CHANGEOVER_OPERATOR_TOKEN: "0123456789abcdef",
    });
    silent.close();
    expect(ran.stderr).toContain("did not answer within 5000 ms");
    expect(ran.code).toBe(0);
    expect(unleash.features.get("files.upload")?.enabled).toBe(false);
  });
});
