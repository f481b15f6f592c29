import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type App, type Backend, createApp } from "../../src/app/app.ts";
import { readConfig } from "../../src/app/config.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";
import { root } from "../rules/sources.ts";

const person = { by: "ana", reason: "test" };

let dataDir: string;
let app: App | undefined;
let sandbox: Sandbox | undefined;

const open = async (backend: Backend | null): Promise<App> => {
  const config = readConfig({
    CHANGEOVER_DATA_DIR: dataDir,
    CHANGEOVER_FLAGS_DIR: join(root, "flags"),
  });
  app = await createApp(config, { logger: silentLogger, backend });
  return app;
};

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "changeover-app-"));
});

afterEach(async () => {
  await app?.close();
  await sandbox?.close();
  [app, sandbox] = [undefined, undefined];
  await rm(dataDir, { recursive: true, force: true });
});

describe("the assembled product", () => {
  it("rehearses uploads on the candidate while legacy serves them, and keeps nothing of it", async () => {
    sandbox = await startSandbox({ dataDir: join(dataDir, "sandbox") });
    const { control, files, spool, metrics } = await open(sandbox.addresses);
    await control.setFlag("upload", { shadow: 100 }, person);
    const bytes = Buffer.alloc(200_000, "x");
    const source = await spool.stage(Readable.from([bytes]), { maxBytes: bytes.length });
    const { value, answered } = await files.upload(
      { owner: "local", name: "a.pdf", provider: "kimi", source },
      { key: "ana" },
    );
    await source.release();
    expect(answered.path).toBe("legacy");
    const same = 'changeover_shadow_runs_total{operation="files.upload",result="same"} 1';
    await vi.waitFor(async () => expect(await metrics.text()).toContain(same), 10_000);
    await vi.waitFor(() => expect(spool.files).toBe(0), 10_000);
    const { value: page } = await files.list({ owner: "local", limit: 10 }, { key: "ana" });
    expect(page.files.map(({ id }) => id)).toEqual([value.id]);
    const { requests } = (await (
      await fetch(`${sandbox.addresses.kimi.adminUrl}/report`)
    ).json()) as {
      requests: Record<string, number>;
    };
    expect(requests["upload"]).toBe(1);
  });
});

describe("mismatches of an earlier process", () => {
  const kept = {
    ...{ version: 1, id: "0123456789ab", operation: "files.info", count: 3, served: "legacy" },
    ...{ firstSeen: "2026-01-01T00:00:00.000Z", lastSeen: "2026-01-02T00:00:00.000Z" },
    ...{ requestId: "r", keyHash: "h", kinds: ["value"], truncated: false, noise: [] },
    differences: [{ path: "name", kind: "value", legacy: '"a"', candidate: '"b"' }],
    legacy: { what: "succeeded", durationMs: 1, bytes: 0, digest: null },
    candidate: { what: "succeeded", durationMs: 2, bytes: 0, digest: null },
    input: { owner: "local", id: "0b9e3a52-6b1c-4c7e-9e55-0d1f5b7c8a10" },
    inputNote: null,
  };

  it("are listed, shown, run again and exported as tests", async () => {
    await mkdir(join(dataDir, "mismatches"));
    const path = join(dataDir, "mismatches", `${kept.id}.json`);
    await writeFile(path, JSON.stringify(kept));
    const { control, snapshot } = await open(null);
    expect(control.mismatches()).toMatchObject([{ id: kept.id, count: 3 }]);
    expect(snapshot().shadow.mismatches).toBe(3);
    expect(control.mismatch("0123")).toEqual(kept);
    expect(control.exportMismatch("0123")).toContain('import { filesInfo } from "./operations.ts"');
    // Without a backend both paths fail alike.
    expect(await control.replayMismatch("0123")).toMatchObject({ result: "both_failed" });
    await expect(control.replayMismatch("9")).rejects.toMatchObject({
      code: "SHADOW_UNKNOWN_CASE",
    });
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual(kept);
    expect(await readdir(join(dataDir, "mismatches"))).toEqual([`${kept.id}.json`]);
  });
});
