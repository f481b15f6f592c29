import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CodedError } from "../../src/base/errors.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { Spool, type SpoolOptions } from "../../src/files/spool.ts";

let root: string;
let dir: string;
const spools: Spool[] = [];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "changeover-spool-"));
  dir = join(root, "spool");
});
afterEach(async () => {
  await Promise.all(spools.splice(0).map((spool) => spool.close()));
  await rm(root, { recursive: true, force: true });
});

const spoolOf = (options: Partial<SpoolOptions> = {}): Spool => {
  const spool = new Spool({ dir, limitBytes: 10_000_000, ...options });
  spools.push(spool);
  return spool;
};
const bodyOf = (...chunks: Uint8Array[]): Readable => Readable.from(chunks);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const bytes = randomBytes(300_000);

/** The staged files of all processes. */
async function stagedFiles(): Promise<string[]> {
  if (!existsSync(dir)) return [];
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries.filter((e) => e.isFile() && !e.name.startsWith("lock.sqlite")).map((e) => e.name);
}

describe("a staged body", () => {
  it("is a source of known size and hash that is read as often as wanted", async () => {
    const spool = spoolOf();
    const staged = await spool.stage(
      bodyOf(bytes.subarray(0, 7), bytes.subarray(7, 200_000), bytes.subarray(200_000)),
      { maxBytes: bytes.length, expectedBytes: bytes.length, expectedSha256: sha256(bytes) },
    );
    expect(staged).toMatchObject({ sizeBytes: bytes.length, sha256: sha256(bytes) });
    expect((await buffer(staged.open())).equals(bytes)).toBe(true);
    expect((await buffer(staged.open({ start: 5, end: 99 }))).equals(bytes.subarray(5, 100))).toBe(
      true,
    );
    await staged.verifyUnchanged();
  });

  it("is kept for this user only, under a random name", async () => {
    const staged = await spoolOf().stage(bodyOf(bytes), { maxBytes: bytes.length });
    expect((await stat(staged.path)).mode & 0o777).toBe(0o600);
    expect((await stat(dirname(staged.path))).mode & 0o777).toBe(0o700);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
  });

  it("takes room until it is released, once", async () => {
    const spool = spoolOf();
    const first = await spool.stage(bodyOf(bytes), { maxBytes: bytes.length });
    const second = await spool.stage(bodyOf(bytes), { maxBytes: bytes.length });
    expect([spool.usedBytes, spool.files]).toEqual([600_000, 2]);
    await Promise.all([first.release(), first.release()]);
    await first.release();
    expect([spool.usedBytes, spool.files]).toEqual([300_000, 1]);
    expect(existsSync(first.path)).toBe(false);
    expect((await buffer(second.open())).equals(bytes)).toBe(true);
  });

  it("may be empty", async () => {
    const staged = await spoolOf().stage(bodyOf(), { maxBytes: 0, expectedBytes: 0 });
    expect(staged).toMatchObject({ sizeBytes: 0, sha256: sha256(new Uint8Array()) });
    expect((await buffer(staged.open())).length).toBe(0);
  });

  it("that somebody wrote to is no longer taken for what it was", async () => {
    const staged = await spoolOf().stage(bodyOf(bytes), { maxBytes: bytes.length });
    await writeFile(staged.path, "other");
    await expect(staged.verifyUnchanged()).rejects.toMatchObject({ code: "FILES_SOURCE_CHANGED" });
  });
});

describe("a body that is refused", () => {
  const refused = async (
    body: AsyncIterable<Uint8Array> | Readable,
    options: Parameters<Spool["stage"]>[1],
    spool = spoolOf(),
  ): Promise<unknown> => {
    const error = await spool.stage(body, options).catch((thrown: unknown) => thrown);
    expect(await stagedFiles()).toEqual([]);
    expect([spool.usedBytes, spool.files]).toEqual([0, 0]);
    return error;
  };

  it("for its size is read no further than its limit, and the limit is named", async () => {
    let asked = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      while (true) {
        asked += 1;
        yield bytes;
      }
    }
    const error = await refused(endless(), { maxBytes: 700_000 });
    expect(error).toMatchObject({ code: "FILES_TOO_LARGE", status: 413 });
    expect(String(error)).toMatch(/at least 900000 bytes .* 700000 bytes/);
    expect(asked).toBe(3);
  });

  it("for its announced size is not read at all", async () => {
    const body = bodyOf(bytes);
    const error = await refused(body, { maxBytes: 10, expectedBytes: bytes.length });
    expect(error).toMatchObject({ code: "FILES_TOO_LARGE", details: { atLeast: false } });
    expect(body.readableDidRead).toBe(false);
  });

  it.each([
    ["fewer", 300_001, "ended after 300000 bytes"],
    ["more", 299_999, "goes on past 299999 bytes"],
  ])("has %s bytes than announced", async (_, expectedBytes, why) => {
    const error = await refused(bodyOf(bytes), { maxBytes: 1_000_000, expectedBytes });
    expect(error).toMatchObject({ code: "FILES_INCOMPLETE_BODY", status: 400 });
    expect(String(error)).toContain(why);
  });

  it("has another digest than declared", async () => {
    const expectedSha256 = "0".repeat(64);
    const error = await refused(bodyOf(bytes), { maxBytes: 1_000_000, expectedSha256 });
    expect(error).toMatchObject({ code: "FILES_DIGEST_MISMATCH", status: 400 });
    expect(String(error)).toContain(sha256(bytes));
  });

  it("broke off: the break is the cause, and a coded error is passed on", async () => {
    async function* breaking(error: Error): AsyncGenerator<Uint8Array> {
      yield bytes;
      throw error;
    }
    const reset = Object.assign(new Error("reset"), { code: "ECONNRESET" });
    const broken = await refused(breaking(reset), { maxBytes: 1_000_000 });
    expect(broken).toMatchObject({ code: "FILES_INCOMPLETE_BODY", cause: reset });
    const coded = new CodedError("GATEWAY_FORM_BROKEN", "No boundary.");
    expect(await refused(breaking(coded), { maxBytes: 1_000_000 })).toBe(coded);
  });

  it("stalls for longer than the idle limit", async () => {
    const clock = new ManualClock();
    const spool = spoolOf({ clock, idleMs: 5000 });
    const body = new PassThrough();
    body.write(bytes);
    const error = refused(body, { maxBytes: 1_000_000 }, spool);
    while (body.readableLength > 0 || clock.pending === 0) await new Promise(setImmediate);
    clock.advance(5000);
    // The first chunk may have restarted the wait after that.
    await new Promise(setImmediate);
    clock.advance(5000);
    expect(await error).toMatchObject({ code: "FILES_INCOMPLETE_BODY" });
    expect(clock.pending).toBe(0);
    expect(body.destroyed).toBe(false);
    body.destroy();
  });

  it("was given up by its caller, before or while it was read", async () => {
    const reason = new Error("gone");
    const before = AbortSignal.abort(reason);
    expect(await refused(bodyOf(bytes), { maxBytes: 1_000_000, signal: before })).toBe(reason);
    const giving = new AbortController();
    const body = new PassThrough();
    body.write(bytes);
    const error = refused(body, { maxBytes: 1_000_000, signal: giving.signal });
    while (body.readableLength > 0) await new Promise(setImmediate);
    giving.abort(reason);
    expect(await error).toBe(reason);
    body.destroy();
  });

  it("leaves its connection open, so that a server can still answer", async () => {
    const spool = spoolOf();
    const server = createServer(async (incoming: IncomingMessage, response) => {
      const error = await spool.stage(incoming, { maxBytes: 1000 }).catch((thrown) => thrown);
      response.writeHead(error.status, { connection: "close" }).end(error.code);
      incoming.resume();
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const sent = request({ port, host: "127.0.0.1", method: "POST" });
    sent.end(randomBytes(500_000));
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    expect(answer.statusCode).toBe(413);
    expect(String(await buffer(answer))).toBe("FILES_TOO_LARGE");
    server.closeAllConnections();
    server.close();
  });

  it("is not destroyed: what becomes of the rest is its owner's decision", async () => {
    const body = new PassThrough();
    body.write(bytes);
    await refused(body, { maxBytes: 10 });
    await new Promise(setImmediate);
    expect(body.destroyed).toBe(false);
    body.destroy();
  });
});

describe("the spool's limit", () => {
  const full = { code: "FILES_SPOOL_FULL", status: 507, retryable: true };

  it("counts staged files and bodies on their way, announced or not", async () => {
    const spool = spoolOf({ limitBytes: 500_000 });
    const held = new PassThrough();
    const announced = spool.stage(held, { maxBytes: 300_000, expectedBytes: 300_000 });
    expect(spool.usedBytes).toBe(300_000);
    const options = { maxBytes: 300_000 };
    await expect(spool.stage(bodyOf(bytes), options)).rejects.toMatchObject(full);
    await expect(
      spool.stage(bodyOf(bytes), { ...options, expectedBytes: 300_000 }),
    ).rejects.toThrow(/300000 bytes .* at most 500000 bytes/);
    held.end(bytes);
    await (await announced).release();
    const staged = await spool.stage(bodyOf(bytes), options);
    expect(spool.usedBytes).toBe(staged.sizeBytes);
  });

  it("counts files too", async () => {
    const spool = spoolOf({ filesMax: 1 });
    const staged = await spool.stage(bodyOf(), { maxBytes: 0 });
    await expect(spool.stage(bodyOf(), { maxBytes: 0 })).rejects.toMatchObject(full);
    await staged.release();
    await spool.stage(bodyOf(), { maxBytes: 0 });
  });

  it("is also reached when the system lets nothing more be written", async () => {
    const program = fileURLToPath(new URL("./fixtures/spool-without-disk.ts", import.meta.url));
    // A limit on the size of files fails like a full disk does, and needs no disk to be full.
    const script = 'ulimit -f 256 && exec "$0" "$1" "$2"';
    const output = execFileSync("sh", ["-c", script, process.execPath, program, dir]);
    const result = JSON.parse(output.toString());
    expect(result).toMatchObject({ code: full.code, status: 507, cause: "EFBIG", usedBytes: 0 });
    expect(result.message).toContain("its disk is full");
  });
});

describe("sweeping", () => {
  const owner = fileURLToPath(new URL("./fixtures/spool-owner.ts", import.meta.url));
  const startOwner = async (): Promise<{ child: ChildProcess; path: string }> => {
    const child = fork(owner, [dir], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const [path] = await once(child, "message");
    return { child, path: String(path) };
  };

  it("removes what a process that died left, and nothing of those that live", async () => {
    const own = await spoolOf().stage(bodyOf(bytes), { maxBytes: bytes.length });
    const [dying, living] = await Promise.all([startOwner(), startOwner()]);
    try {
      dying.child.kill("SIGKILL");
      await once(dying.child, "exit");
      expect(existsSync(dying.path)).toBe(true);
      expect(await spoolOf().sweep()).toBe(1);
      expect(existsSync(dirname(dying.path))).toBe(false);
      expect(existsSync(living.path)).toBe(true);
      expect(existsSync(own.path)).toBe(true);
      expect(await spoolOf().sweep()).toBe(0);
    } finally {
      living.child.kill("SIGKILL");
      await once(living.child, "exit");
    }
    expect(await spoolOf().sweep()).toBe(1);
    expect(existsSync(living.path)).toBe(false);
  });

  it("leaves alone what the spool did not make", async () => {
    await mkdir(join(dir, "photos"), { recursive: true });
    await mkdir(join(root, "elsewhere"));
    await writeFile(join(root, "elsewhere", "kept"), "");
    await symlink(join(root, "elsewhere"), join(dir, `process-${"0".repeat(16)}`));
    expect(await spoolOf().sweep()).toBe(0);
    expect(existsSync(join(dir, "photos"))).toBe(true);
    expect(existsSync(join(root, "elsewhere", "kept"))).toBe(true);
  });

  it("of a folder that cannot be made is FILES_SPOOL_FAILED", async () => {
    await writeFile(join(root, "file"), "");
    const spool = spoolOf({ dir: join(root, "file") });
    await expect(spool.sweep()).rejects.toMatchObject({ code: "FILES_SPOOL_FAILED" });
    await expect(spool.stage(bodyOf(), { maxBytes: 0 })).rejects.toThrow(join(root, "file"));
    expect(spool.files).toBe(0);
  });

  it("is not needed after a proper close, which removes everything and ends staging", async () => {
    const spool = spoolOf();
    const staged = await spool.stage(bodyOf(bytes), { maxBytes: bytes.length });
    await spool.close();
    expect(existsSync(dirname(staged.path))).toBe(false);
    await expect(spool.stage(bodyOf(), { maxBytes: 0 })).rejects.toMatchObject({
      code: "FILES_SPOOL_FAILED",
    });
  });
});
