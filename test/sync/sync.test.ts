import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createChangeover } from "../../src/changeover.ts";
import { runInScope } from "../../src/migration/call.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";
import { checkBlocking } from "../../src/sync/context.ts";
import { closeSync, deleteSync, downloadSync, uploadSync } from "../../src/sync.ts";

const run = promisify(execFile);
const script = fileURLToPath(new URL("./fixtures/script.ts", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));

const codeOfCall = (call: () => unknown): string => {
  try {
    call();
    return "returned";
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe("a script that does not await", () => {
  let folder: string;
  let sandbox: Sandbox;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "changeover-sync-"));
    sandbox = await startSandbox({ dataDir: join(folder, "sandbox") });
  });
  afterAll(async () => {
    await sandbox.close();
    await rm(folder, { recursive: true, force: true });
  });
  const environment = () => {
    const { url, secretKey, bucket } = sandbox.addresses.supabase;
    return {
      PATH: process.env["PATH"] ?? "",
      SUPABASE_URL: url,
      SUPABASE_SECRET_KEY: secretKey,
      SUPABASE_BUCKET: bucket,
      CHANGEOVER_DATA_DIR: join(folder, "data"),
    };
  };

  it("stores, fetches and deletes, and ends by itself", async () => {
    const bytes = randomBytes(3_000_000);
    const [file, copy] = [join(folder, "a.bin"), join(folder, "copy.bin")];
    await writeFile(file, bytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const { stdout } = await run(process.execPath, [script, file, copy], {
      cwd: root,
      env: environment(),
      timeout: 60_000,
    });
    const said = JSON.parse(stdout) as { stored: { id: string }; again: string };
    expect(said).toMatchObject({
      stored: { name: "a.bin", sizeBytes: bytes.length, sha256, owner: "local" },
      fetched: sha256,
      deleted: { deleted: true },
      missing: "FILES_NOT_FOUND 404",
      same: true,
    });
    expect(said.again).toBe(said.stored.id);
    expect((await readdir(folder)).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("is told when there is no backend, and when it took too long", async () => {
    const program = `
      import { deleteSync } from ${JSON.stringify(join(root, "src/sync.ts"))};
      try { deleteSync("0b8f7c1e-5a35-4c7e-9d57-0a6f2f1c9e10", { timeoutMs: Number(process.argv[1]) }); }
      catch (error) { console.log(error.code); }`;
    const words = ["--input-type=module", "-e", program];
    const codeWith = async (timeoutMs: number, env: NodeJS.ProcessEnv): Promise<string> => {
      const ran = await run(process.execPath, [...words, String(timeoutMs)], { cwd: root, env });
      return ran.stdout.trim();
    };
    const { PATH, CHANGEOVER_DATA_DIR } = environment();
    expect(await codeWith(60_000, { PATH, CHANGEOVER_DATA_DIR })).toBe("FILES_SYNC_NO_BACKEND");
    const silent = createServer(() => undefined).listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const address = silent.address() as { port: number };
    const env = { ...environment(), SUPABASE_URL: `http://127.0.0.1:${address.port}` };
    expect(await codeWith(1500, env)).toBe("FILES_SYNC_TIMEOUT");
    silent.closeAllConnections();
    silent.close();
    await vi.waitFor(() => expect(process.getActiveResourcesInfo()).not.toContain("TCPServerWrap"));
  });
});

describe("a call that would hold up others", () => {
  it("is refused in an HTTP handler, by name and with what to do, and sends nothing", async () => {
    const server = createServer((_request, response) => {
      const codes = [
        codeOfCall(() => uploadSync("a.bin")),
        codeOfCall(() => downloadSync("x", "y")),
        codeOfCall(() => deleteSync("x")),
      ];
      response.end(JSON.stringify(codes));
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    const codes = await (await fetch(`http://127.0.0.1:${port}`)).json();
    expect(codes).toEqual(new Array(3).fill("FILES_SYNC_IN_ASYNC_CONTEXT"));
    expect(() => deleteSync("x")).toThrow(/await files\.delete\(\).*allowBlocking: true/);
    server.closeAllConnections();
    server.close();
    // Node lets go of a closed server some turns later.
    await vi.waitFor(() => expect(process.getActiveResourcesInfo()).not.toContain("TCPServerWrap"));
  });

  it("is refused inside a scope and while a migrated call runs, and is not afterwards", async () => {
    const check = (): string => codeOfCall(() => checkBlocking("x()", "y()"));
    expect(runInScope("ana", check)).toBe("FILES_SYNC_IN_ASYNC_CONTEXT");
    expect(check()).toBe("returned");
    const changeover = await createChangeover({});
    const inside: string[] = [];
    const call = changeover.migrate({
      name: "sync.try",
      kind: "read",
      legacy: async () => {
        await Promise.resolve();
        inside.push(check());
        return 1;
      },
      candidate: () => 1,
    });
    await call(0, { key: "ana" });
    await changeover.close();
    expect(inside).toEqual(["FILES_SYNC_IN_ASYNC_CONTEXT"]);
    expect(check()).toBe("returned");
    closeSync();
  });
});
