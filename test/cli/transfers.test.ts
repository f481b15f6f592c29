import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type CuttingProxy, cuttingProxy } from "../files/fixtures/cutting-proxy.ts";
import { TestFolder } from "../support/test-folder.ts";
import {
  changeover,
  ended,
  errorOf,
  type Ran,
  type Started,
  spawnChangeover,
  startChangeover,
  until,
} from "./command-line.ts";

vi.setConfig({ testTimeout: 90_000 });

const MIB = 2 ** 20;
const folder = new TestFolder();
const bytes = randomBytes(40 * MIB);
const sha256 = createHash("sha256").update(bytes).digest("hex");
let started: Started;
let proxy: CuttingProxy;
let id: string;

interface Uploaded {
  readonly uploaded: readonly {
    readonly id: string;
    readonly sha256: string;
    readonly path: string;
  }[];
  readonly failed: readonly { readonly error: { readonly code: string } }[];
}
const uploads = ({ stdout }: Ran): Uploaded => JSON.parse(stdout) as Uploaded;
const here = (): string[] => ["--data-dir", started.dataDir, "--json"];

beforeAll(async () => {
  writeFileSync(folder.in("large.bin"), bytes);
  started = await startChangeover(folder.in("data"));
  proxy = await cuttingProxy(started.gateway);
  const up = await changeover(["upload", folder.in("large.bin"), ...here()]);
  id = uploads(up).uploaded[0]?.id ?? "";
});
afterAll(async () => {
  await proxy?.close();
  started?.child.kill("SIGTERM");
  await started?.end;
  await folder.remove();
});

const partFiles = (): string[] => readdirSync(folder.path).filter((name) => name.endsWith(".part"));

describe("a command in another folder than the product was started in", () => {
  it("finds its flags all the same", async () => {
    const listed = await changeover(["ls", ...here()], { cwd: folder.path });
    expect(JSON.parse(listed.stdout)).toMatchObject({ files: [{ id }] });
    expect(listed.code).toBe(0);
  });
});

describe("a download whose connection breaks", () => {
  it("goes on where it was, into a file and into a pipe", async () => {
    proxy.cutAnswerAfter(15 * MIB);
    const target = folder.in("back.bin");
    const words = ["download", id, "-o", target, "--gateway", proxy.url];
    const down = await changeover(words);
    expect(down.code).toBe(0);
    expect(down.stderr).toMatch(/The connection broke at byte \d{7,}; going on/);
    expect(createHash("sha256").update(readFileSync(target)).digest("hex")).toBe(sha256);
    proxy.cutAnswerAfter(15 * MIB);
    const piped = await changeover(["download", id, "-o", "-", "--gateway", proxy.url]);
    expect(piped.stderr).toContain("The connection broke");
    expect(createHash("sha256").update(piped.bytes).digest("hex")).toBe(sha256);
    expect(partFiles()).toEqual([]);
  });

  it("keeps what arrived when nothing answers any more, and the next one needs only the rest", async () => {
    const target = folder.in("later.bin");
    const words = ["download", id, "-o", target, "--gateway", proxy.url];
    const child = spawnChangeover(words);
    const end = ended(child);
    proxy.cutAnswerAfter(32 * MIB);
    let said = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes("The connection broke")) proxy.refuse(true);
    });
    await until(() => said.includes("The connection broke"));
    child.kill("SIGINT");
    expect((await end).code).toBe(130);
    proxy.refuse(false);
    const [part = ""] = partFiles();
    expect(part).toBe(`.later.bin.${id}.part`);
    const arrived = statSync(folder.in(part)).size;
    expect(arrived).toBeGreaterThan(15 * MIB);
    const before = proxy.receivedBytes();
    const down = await changeover(words);
    expect(proxy.receivedBytes() - before).toBeLessThan(bytes.length - 5 * MIB);
    expect(down).toMatchObject({ code: 0 });
    expect(createHash("sha256").update(readFileSync(target)).digest("hex")).toBe(sha256);
    expect(partFiles()).toEqual([]);
  });

  it("never takes wrong bytes of an earlier try for the file's own", async () => {
    const target = folder.in("wrong.bin");
    writeFileSync(folder.in(`.wrong.bin.${id}.part`), randomBytes(1000));
    // The stored file is sound, so this is no FILES_INTEGRITY: nobody is told to upload it again.
    expect(await changeover(["download", id, "-o", target, ...here()])).toMatchObject({ code: 0 });
    expect(createHash("sha256").update(readFileSync(target)).digest("hex")).toBe(sha256);
    expect(partFiles()).toEqual([]);
    writeFileSync(folder.in(`.again.bin.${id}.part`), randomBytes(41 * MIB));
    const again = await changeover(["download", id, "-o", folder.in("again.bin"), ...here()]);
    expect(again.code).toBe(0);
  });
});

describe("an upload that is interrupted", () => {
  it("goes on with --resume, without beginning anew", async () => {
    const large = randomBytes(64 * MIB);
    writeFileSync(folder.in("interrupted.bin"), large);
    const kept = (): string[] => {
      try {
        return readdirSync(folder.in("data", "supabase", "uploads"));
      } catch {
        return [];
      }
    };
    const before = new Set(kept());
    const mine = (): string[] => kept().filter((name) => !before.has(name));
    const words = ["upload", folder.in("interrupted.bin"), "--path", "candidate"];
    const child = spawnChangeover([...words, "--data-dir", started.dataDir]);
    const end = ended(child);
    const sizeOf = (name: string): number =>
      statSync(folder.in("data", "supabase", "uploads", name)).size;
    await until(() => mine().some((name) => name.endsWith(".bytes") && sizeOf(name) > 7 * MIB));
    child.kill("SIGINT");
    const interrupted = await end;
    expect(interrupted.code).toBe(130);
    expect(interrupted.stderr).toContain("changeover upload --resume");
    const [bytesFile = ""] = mine().filter((name) => name.endsWith(".bytes"));
    expect(sizeOf(bytesFile)).toBeLessThan(large.length);
    const again = await changeover(["upload", folder.in("interrupted.bin"), "--resume", ...here()]);
    expect(again.code).toBe(0);
    expect(uploads(again).uploaded[0]).toMatchObject({
      sha256: createHash("sha256").update(large).digest("hex"),
      path: "candidate",
    });
    // The same upload on the server, finished: no second one was begun.
    expect(mine()).toEqual([bytesFile.replace(".bytes", ".json")]);
    rmSync(folder.in("interrupted.bin"));
  });

  it("is told where --resume does not reach", async () => {
    const through = ["--gateway", started.gateway, "--json"];
    const runs = await Promise.all([
      changeover(["upload", folder.in("large.bin"), "--resume", ...through]),
      changeover(["verify", ...through]),
    ]);
    expect(runs.map((ran) => [ran.code, errorOf(ran).code])).toEqual([
      [2, "CLI_USAGE"],
      [2, "CLI_USAGE"],
    ]);
  });
});

describe("an upload of bytes that are stored already", () => {
  it.each(["legacy", "candidate"])("adds, answers or refuses on %s, as asked", async (path) => {
    const file = folder.in(`twice-${path}.txt`);
    writeFileSync(file, `the same ${path}`);
    const words = ["upload", file, "--path", path, ...here()];
    const first = uploads(await changeover(words)).uploaded[0];
    const forced = uploads(await changeover(words)).uploaded[0];
    expect(forced?.id).not.toBe(first?.id);
    const returned = uploads(await changeover([...words, "--on-duplicate", "return"]));
    expect(returned.uploaded[0]?.id).toBe(first?.id);
    const refused = await changeover([...words, "--on-duplicate", "error"]);
    expect([refused.code, uploads(refused).failed[0]?.error.code]).toEqual([1, "FILES_DUPLICATE"]);
  });

  it("answers or refuses through a gateway too", async () => {
    const file = folder.in("twice-gateway.txt");
    writeFileSync(file, "the same through a gateway");
    const words = ["upload", file, "--json", "--gateway", started.gateway];
    const first = uploads(await changeover(words)).uploaded[0];
    const returned = uploads(await changeover([...words, "--on-duplicate", "return"]));
    expect(returned.uploaded[0]?.id).toBe(first?.id);
    const refused = await changeover([...words, "--on-duplicate", "error"]);
    expect(uploads(refused).failed[0]?.error.code).toBe("FILES_DUPLICATE");
  });
});

describe("an upload to whichever provider suits", () => {
  it("says which one it was and why, here and through a gateway, and status shows both", async () => {
    const file = folder.in("question.txt");
    writeFileSync(file, "what is asked about");
    const words = ["upload", file, "--provider", "auto", "--question", "Which?"];
    for (const door of [here(), ["--json", "--gateway", started.gateway]]) {
      const { uploaded } = uploads(await changeover([...words, ...door]));
      expect(uploaded).toMatchObject([
        { provider: "kimi", providerReasons: [expect.stringContaining("a simple question")] },
      ]);
    }
    const shown = await changeover([...words, "--data-dir", started.dataDir]);
    expect(shown.stdout).toMatch(/^provider +kimi: kimi gets a simple question/m);
    const wrong = await changeover(["upload", file, "--question", "Which?", ...here()]);
    expect([wrong.code, errorOf(wrong).code]).toEqual([2, "CLI_USAGE"]);
    const status = await changeover(["status", "--data-dir", started.dataDir]);
    expect(status.stdout).toMatch(/^kimi +up +/m);
    expect(status.stdout).toMatch(/^glm +up +not measured/m);
  });
});

describe("changeover verify", () => {
  it("finds nothing, then finds and removes what has no row, and says so by its exit code", async () => {
    const words = ["verify", "--grace", "0", ...here()];
    const clean = await changeover([...words, "--hash"]);
    expect(JSON.parse(clean.stdout)).toMatchObject({ ok: true, findings: [], unchecked: [] });
    expect(clean.code).toBe(0);
    const { backend } = JSON.parse(readFileSync(folder.in("data", "run.json"), "utf8")) as {
      backend: { supabase: { url: string; secretKey: string; bucket: string } };
    };
    const { url, secretKey, bucket } = backend.supabase;
    const key = `none/user-data/ab/ab${"0".repeat(62)}/0b8f7c1e-5a35-4c7e-9d57-0a6f2f1c9e10`;
    await fetch(`${url}/storage/v1/object/${bucket}/${key}`, {
      method: "POST",
      headers: { apikey: secretKey, authorization: `Bearer ${secretKey}` },
      body: "left over",
    });
    const young = await changeover(["verify", ...here()]);
    expect([young.code, JSON.parse(young.stdout)]).toMatchObject([0, { young: 1, findings: [] }]);
    const found = await changeover(words);
    expect(found.code).toBe(1);
    expect(JSON.parse(found.stdout)).toMatchObject({
      ok: false,
      findings: [{ kind: "orphaned-object", subject: key, result: "open" }],
    });
    const plain = await changeover([
      "verify",
      "--grace",
      "0",
      "--fix",
      "--data-dir",
      started.dataDir,
    ]);
    expect(plain.code).toBe(0);
    expect(plain.stdout).toMatch(/^removed +orphaned-object +none\/user-data/m);
    expect((await changeover([...words, "--no-providers"])).code).toBe(0);
  });
});
