import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { TestFolder } from "../support/test-folder.ts";
import { changeover, errorOf, type Ran, type Started, startChangeover } from "./command-line.ts";

// Every command is a process of its own, and many run at once.
vi.setConfig({ testTimeout: 90_000 });

const folder = new TestFolder();
const bytes = randomBytes(700_000);
const sha256 = createHash("sha256").update(bytes).digest("hex");
const noSuchId = "7b0e1d9c-0f4e-4f0e-8a52-6d6f3a2b1c00";
let started: Started;

interface Uploads {
  readonly uploaded: readonly {
    id: string;
    name: string;
    sha256: string;
    path: string;
    reason: string;
    sizeBytes: number;
  }[];
  readonly failed: readonly { input: string; error: { code: string; message: string } }[];
}
const uploads = (ran: Ran): Uploads => JSON.parse(ran.stdout) as Uploads;

/** The two ways of a file command: in its own process, and through the gateway. */
const ways = {
  "in its own process": () => ["--json", "--data-dir", started.dataDir],
  "through the gateway": () => [
    ...["--json", "--data-dir", started.dataDir],
    ...["--gateway", started.gateway],
  ],
};
const bothWays = Object.entries(ways);

beforeAll(async () => {
  writeFileSync(folder.in("data.bin"), bytes);
  writeFileSync(folder.in("empty.txt"), "");
  writeFileSync(folder.in("note.txt"), "a note\n");
  mkdirSync(folder.in("docs", "deep"), { recursive: true });
  writeFileSync(folder.in("docs", "one.txt"), "one");
  writeFileSync(folder.in("docs", "deep", "two.txt"), "two");
  started = await startChangeover(folder.in("data"));
});
afterAll(async () => {
  started?.child.kill("SIGTERM");
  await started?.end;
  await folder.remove();
});

describe.each(bothWays)("files %s", (way, words) => {
  it.concurrent("come back as they went up", async () => {
    for (const path of way === "in its own process" ? ["legacy", "candidate"] : ["candidate"]) {
      const up = await changeover(["upload", folder.in("data.bin"), "--path", path, ...words()]);
      expect(up).toMatchObject({ code: 0, stderr: "" });
      const [file] = uploads(up).uploaded;
      expect(file).toMatchObject({ name: "data.bin", sha256, path, reason: "override" });
      const target = folder.in(`${file?.id}.bin`);
      const download = ["download", file?.id ?? "", "--path", path, "-o", target];
      const down = await changeover([...download, ...words()]);
      expect(down).toMatchObject({ code: 0, stderr: "" });
      expect(JSON.parse(down.stdout)).toMatchObject({ sha256, path, output: target });
      expect(readFileSync(target).equals(bytes)).toBe(true);
    }
  });

  it.concurrent("pass through pipes both ways", async () => {
    const piped = ["upload", "-", "--name", "päivä 🚀.bin", ...words()];
    const up = await changeover(piped, { input: bytes });
    const [file] = uploads(up).uploaded;
    expect(file).toMatchObject({ name: "päivä 🚀.bin", sha256, sizeBytes: bytes.length });
    const plain = words().filter((word) => word !== "--json");
    const down = await changeover(["download", file?.id ?? "", "-o", "-", ...plain]);
    expect(down.code).toBe(0);
    expect(createHash("sha256").update(down.bytes).digest("hex")).toBe(sha256);
  });

  it.concurrent("go on past one that fails, with exit code 6 and every reason", async () => {
    const inputs = ["note.txt", "nowhere.txt", "docs", "empty.txt"].map((name) => folder.in(name));
    const ran = await changeover(["upload", ...inputs, ...words()]);
    expect(ran.code).toBe(6);
    const { uploaded, failed } = uploads(ran);
    expect(uploaded.map(({ name }) => name)).toEqual(["note.txt", "empty.txt"]);
    expect(failed.map(({ error }) => error.code)).toEqual(["FILES_MISSING", "FILES_NOT_A_FILE"]);
    expect(failed[1]?.error.message).toContain("upload --recursive");
  });

  it.concurrent("are listed and removed; what is not there is exit code 4", async () => {
    const up = await changeover(["upload", folder.in("docs"), "--recursive", ...words()]);
    const { uploaded } = uploads(up);
    expect(uploaded.map(({ name }) => name)).toEqual(["two.txt", "one.txt"]);
    const ids = uploaded.map(({ id }) => id);
    const listed = await changeover(["ls", "--all", ...words()]);
    const { files, hasMore } = JSON.parse(listed.stdout) as {
      files: { id: string }[];
      hasMore: boolean;
    };
    expect(files.map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
    expect(hasMore).toBe(false);
    const removed = await changeover(["rm", ...ids, noSuchId, ...words()]);
    expect(removed.code).toBe(6);
    expect(JSON.parse(removed.stdout)).toMatchObject({
      deleted: ids,
      failed: [{ id: noSuchId, error: { code: "FILES_NOT_FOUND" } }],
    });
    const gone = await changeover(["download", ids[0] ?? "", ...words()]);
    expect(gone.code).toBe(4);
    expect(errorOf(gone).code).toBe("FILES_NOT_FOUND");
  });
});

describe("bad input of file commands", () => {
  const inFolder = ways["in its own process"];
  const throughGateway = ways["through the gateway"];

  it.concurrent("is refused before anything is opened where that can be known", async () => {
    const runs = await Promise.all([
      changeover(["upload", "x", "--provider", "skynet", "--json"]),
      changeover(["upload", "-", "--json"]),
      changeover(["upload", "a", "b", "--name", "c", "--json"]),
      changeover(["download", noSuchId, "-o", "-", "--json"]),
    ]);
    expect(runs.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    expect(runs.map((ran) => errorOf(ran).code)).toEqual([
      "FILES_UNKNOWN_PROVIDER",
      "CLI_USAGE",
      "CLI_USAGE",
      "CLI_USAGE",
    ]);
  });

  it.concurrent.each<[string, string[], string, number, RegExp]>([
    ["a name with ../", ["note.txt", "--name", "../x"], "FILES_INVALID_NAME", 2, /is a path/],
    [
      "a name of 300 characters",
      ["note.txt", "--name", "x".repeat(300)],
      "FILES_INVALID_NAME",
      2,
      /300 bytes.*limit is 255/,
    ],
    [
      "a right-to-left override",
      ["note.txt", "--name", "a\u202egnp.exe"],
      "FILES_INVALID_NAME",
      2,
      /U\+202E/,
    ],
    [
      "an unknown purpose",
      ["note.txt", "--purpose", "fun"],
      "FILES_UNKNOWN_PURPOSE",
      2,
      /"fun".*Use one of/,
    ],
    [
      "an empty file for a provider",
      ["empty.txt", "--provider", "kimi"],
      "FILES_EMPTY",
      2,
      /0 bytes/,
    ],
  ])("is refused: %s", async (_what, [file = "", ...more], code, exit, message) => {
    const ran = await changeover(["upload", folder.in(file), ...more, ...throughGateway()]);
    expect(ran.code).toBe(exit);
    expect(uploads(ran).uploaded).toEqual([]);
    expect(uploads(ran).failed[0]?.error).toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it.concurrent("names a file that is too large, and the limit", async () => {
    const ran = await changeover(["upload", folder.in("data.bin"), ...inFolder()], {
      environment: { CHANGEOVER_MAX_FILE_BYTES: "1000" },
    });
    expect(ran.code).toBe(2);
    expect(uploads(ran).failed[0]?.error).toMatchObject({
      code: "FILES_TOO_LARGE",
      message: expect.stringMatching(/700000 bytes.*1000 bytes/),
    });
  });

  it.concurrent("says that the spool is full, with the exit code for trying later", async () => {
    const words = ["upload", "-", "--name", "big", ...inFolder()];
    const ran = await changeover(words, {
      input: randomBytes(2_000_000),
      environment: { CHANGEOVER_SPOOL_BYTES: String(2 ** 20) },
    });
    expect(ran.code).toBe(7);
    expect(uploads(ran).failed[0]?.error.code).toBe("FILES_SPOOL_FULL");
    expect(
      readdirSync(folder.in("data", "spool")).filter((name) => !name.startsWith("lock")),
    ).toHaveLength(1);
  });

  it.concurrent("says that a backend or a gateway is not there", async () => {
    const environment = { SUPABASE_URL: "http://127.0.0.1:9", SUPABASE_SECRET_KEY: "x" };
    const [backend, gateway] = await Promise.all([
      changeover(["ls", "--json", "--data-dir", folder.in("other")], { environment }),
      changeover(["ls", "--json", "--gateway", "http://127.0.0.1:9"]),
    ]);
    expect([backend.code, gateway.code]).toEqual([5, 5]);
    expect(errorOf(backend).code).toBe("FILES_BACKEND_UNAVAILABLE");
    expect(errorOf(gateway)).toMatchObject({
      code: "CLI_GATEWAY_UNREACHABLE",
      message: expect.stringContaining("http://127.0.0.1:9"),
    });
  });

  it.concurrent("is refused in its own process in the same words", async () => {
    const words = ["upload", folder.in("note.txt"), ...inFolder()];
    const ran = await changeover([...words, "--name", "../x"]);
    expect(ran.code).toBe(2);
    expect(uploads(ran).failed[0]?.error).toMatchObject({
      code: "FILES_INVALID_NAME",
      message: expect.stringMatching(/"..\/x" is a path/),
    });
  });

  it.concurrent("never sends the data folder's token to another machine", async () => {
    const ran = await changeover([
      "status",
      "--json",
      "--data-dir",
      started.dataDir,
      "--gateway",
      "http://192.0.2.1:80",
    ]);
    expect(ran.code).toBe(2);
    expect(errorOf(ran).code).toBe("CLI_NO_OPERATOR_TOKEN");
  });

  it.concurrent("keeps a file that is there already, unless forced", async () => {
    const up = await changeover(["upload", folder.in("note.txt"), ...inFolder()]);
    const id = uploads(up).uploaded[0]?.id ?? "";
    const target = folder.in("kept.txt");
    writeFileSync(target, "mine");
    const refused = await changeover(["download", id, "-o", target, ...inFolder()]);
    expect([refused.code, errorOf(refused).code]).toEqual([1, "CLI_FILE_EXISTS"]);
    expect(readFileSync(target, "utf8")).toBe("mine");
    const forced = await changeover(["download", id, "-o", target, "--force", ...inFolder()]);
    expect(forced.code).toBe(0);
    expect(readFileSync(target, "utf8")).toBe("a note\n");
    const nowhere = await changeover(["download", id, "-o", folder.in("no", "x"), ...inFolder()]);
    expect([nowhere.code, errorOf(nowhere).code]).toEqual([2, "CLI_CANNOT_WRITE"]);
    expect(readdirSync(folder.path).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it.concurrent("fetches a file whose name is as long as names may be", async () => {
    const name = `${"字".repeat(83)}a.text`;
    const words = ["upload", folder.in("note.txt"), "--name", name, ...inFolder()];
    const id = uploads(await changeover(words)).uploaded[0]?.id ?? "";
    const place = folder.in("long");
    mkdirSync(place);
    const ran = await changeover(["download", id, "-o", place, ...inFolder()]);
    expect(ran.code).toBe(0);
    expect(readdirSync(place)).toEqual([name]);
  });

  it.skipIf(process.getuid?.() !== 0)("names a file that this user may not read", async () => {
    const other = new TestFolder();
    chmodSync(other.path, 0o777);
    writeFileSync(other.in("secret.txt"), "secret", { mode: 0o600 });
    const words = ["upload", other.in("secret.txt"), "--json", "--data-dir", other.in("data")];
    const ran = await changeover(words, { uid: 65_534 });
    expect(ran.code).toBe(2);
    expect(uploads(ran).failed[0]?.error).toMatchObject({
      code: "FILES_UNREADABLE",
      message: expect.stringContaining("EACCES"),
    });
    await other.remove();
  });
});

describe("a file command while nothing runs", () => {
  it("starts the embedded backend for itself, says so, and leaves nothing running", async () => {
    const own = new TestFolder();
    const ran = await changeover(["upload", folder.in("note.txt"), "--data-dir", own.in("data")]);
    expect(ran.code).toBe(0);
    expect(ran.stderr).toContain("starting the embedded backend for this command");
    expect(ran.stderr).not.toContain("kept running");
    expect(ran.stdout).toMatch(/^path +legacy \(flag-off\)$/m);
    expect(existsSync(own.in("data", "run.json"))).toBe(false);
    await own.remove();
  });
});
