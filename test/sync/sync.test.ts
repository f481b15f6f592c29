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
    // As long as a name may be: 255 bytes, and not half as many letters.
    const [file, copy] = [join(folder, "a.bin"), join(folder, `${"字".repeat(83)}a.copy`)];
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
      nowhere: "FILES_UNWRITABLE 400",
      deleted: { deleted: true },
      missing: "FILES_NOT_FOUND 404",
      same: true,
    });
    expect(said.again).toBe(said.stored.id);
    expect((await readdir(folder)).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("ends by itself without closing anything, with flags that no thread may be given", async () => {
    const program = `
      import { uploadSync } from ${JSON.stringify(join(root, "src/sync.ts"))};
      console.log(uploadSync(process.argv[1]).sizeBytes);`;
    const small = join(folder, "small.txt");
    await writeFile(small, "kept");
    const flags = ["--max-old-space-size=900", "--input-type=module", "-e", program, small];
    const { stdout, stderr } = await run(process.execPath, flags, {
      cwd: root,
      env: environment(),
      timeout: 60_000,
    });
    expect([stdout.trim(), stderr]).toEqual(["4", ""]);
  }, 60_000);

  it("is told of a choice that is none, instead of having one made for it", () => {
    const choice = "maybe" as "force";
    const message = 'onDuplicate is one of force, return, error, not "maybe".';
    expect(() => uploadSync("a.bin", { onDuplicate: choice })).toThrow(new RangeError(message));
  });

  it("is told when there is no backend, and when it took too long", async () => {
    const { PATH, CHANGEOVER_DATA_DIR } = environment();
    const bare = { PATH, CHANGEOVER_DATA_DIR };
    expect(await deletions({ env: bare })).toEqual(["FILES_SYNC_NO_BACKEND 400 absent"]);
    const silent = await silentServer();
    const env = { ...environment(), SUPABASE_URL: silent.url };
    // One more patient than the worker was started for takes another one.
    expect(await deletions({ env, timeoutsMs: [400, 800] })).toEqual([
      "FILES_SYNC_TIMEOUT 504 unknown",
      "FILES_SYNC_TIMEOUT 504 unknown",
    ]);
    await silent.close();
  }, 60_000);

  it("is told at once when the worker ends, and the next call has another one", async () => {
    const silent = await silentServer();
    const env = { ...environment(), SUPABASE_URL: silent.url };
    const said = await deletions({ env, timeoutsMs: [600_000, 600_000], preload: "ending" });
    const ended = "FILES_SYNC_NO_ANSWER 504 possible exited with code 7";
    expect(said).toEqual([ended, ended]);
    await silent.close();
  }, 60_000);

  it("is told when the work heeds no time limit, and its worker is ended", async () => {
    const silent = await silentServer();
    const env = { ...environment(), SUPABASE_URL: silent.url };
    const said = await deletions({ env, timeoutsMs: [300], preload: "heedless" });
    expect(said).toEqual(["FILES_SYNC_NO_ANSWER 504 possible exited with code 1"]);
    await silent.close();
  }, 60_000);

  it("is told which package is missing, here and in the worker", async () => {
    for (const missing of ["synckit", "undici"]) {
      const env = { ...environment(), MISSING: missing };
      const said = await deletions({ env, preload: "missing" });
      expect(said).toEqual([
        `FILES_SYNC_PACKAGE_MISSING 500 absent npm install ${missing}-is-missing`,
      ]);
    }
  }, 60_000);

  /** What a script is told that deletes a file once for each time limit. */
  async function deletions(given: {
    readonly env: NodeJS.ProcessEnv;
    readonly timeoutsMs?: readonly number[];
    /** Runs before everything else in each of its threads. */
    readonly preload?: "ending" | "heedless" | "missing";
  }): Promise<readonly string[]> {
    const { env, timeoutsMs = [60_000], preload } = given;
    const program = `
      import(${JSON.stringify(join(root, "src/sync.ts"))}).then(({ deleteSync }) => {
        for (const timeoutMs of process.argv.slice(1)) {
          try { deleteSync("0b8f7c1e-5a35-4c7e-9d57-0a6f2f1c9e10", { timeoutMs: Number(timeoutMs) }); }
          catch ({ code, status, details, message }) {
            console.log([code, status, details.effect ?? "unknown", ...(message.match(/npm install .*|exited with code ./) ?? [])].join(" "));
          }
        }
      })`;
    const fixture = fileURLToPath(new URL(`./fixtures/${preload}.ts`, import.meta.url));
    const words = preload === undefined ? [] : ["--import", fixture];
    const ran = await run(process.execPath, [...words, "-e", program, ...timeoutsMs.map(String)], {
      cwd: root,
      env,
      timeout: 60_000,
    });
    return ran.stdout.trim().split("\n");
  }
});

/** A server that takes requests and answers none. */
async function silentServer(): Promise<{ url: string; close: () => Promise<void> }> {
  const server = createServer(() => undefined).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      // Node lets go of a closed server some turns later.
      await vi.waitFor(() =>
        expect(process.getActiveResourcesInfo()).not.toContain("TCPServerWrap"),
      );
    },
  };
}

describe("a call that would hold up others", () => {
  it("is refused in an HTTP handler, by name and with what to do, and sends nothing", async () => {
    const server = createServer((_request, response) => {
      const codes = [
        codeOfCall(() => uploadSync("a.bin")),
        codeOfCall(() => downloadSync("x", "y")),
        codeOfCall(() => deleteSync("x")),
        // Who insists gets as far as the settings.
        codeOfCall(() => deleteSync("x", { allowBlocking: true })),
      ];
      response.end(JSON.stringify(codes));
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    const codes = await (await fetch(`http://127.0.0.1:${port}`)).json();
    const refused = new Array(3).fill("FILES_SYNC_IN_ASYNC_CONTEXT");
    expect(codes).toEqual([...refused, "FILES_SYNC_NO_BACKEND"]);
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
