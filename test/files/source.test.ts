import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  appendFile,
  chmod,
  mkdir,
  mkdtemp,
  rm,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bytesSource, CHUNK_BYTES, fileSource, sourceChunks } from "../../src/files/source.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "changeover-source-"));
  // The test for unreadable files becomes another user.
  await chmod(dir, 0o755);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const bytes = randomBytes(CHUNK_BYTES * 3 + 12_345);
const written = async (content: Uint8Array = bytes): Promise<string> => {
  const path = join(dir, "file");
  await writeFile(path, content);
  return path;
};
const read = async (source: Parameters<typeof sourceChunks>[0]): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of sourceChunks(source)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
};

describe("a file of this machine", () => {
  it("is read as often as wanted, whole or in ranges", async () => {
    const source = await fileSource(await written());
    expect(source.sizeBytes).toBe(bytes.length);
    expect((await buffer(source.open())).equals(bytes)).toBe(true);
    expect((await buffer(source.open())).equals(bytes)).toBe(true);
    const range = await buffer(source.open({ start: 7, end: CHUNK_BYTES + 7 }));
    expect(range.equals(bytes.subarray(7, CHUNK_BYTES + 8))).toBe(true);
    expect((await buffer(source.open({ start: bytes.length - 1, end: 2 ** 40 }))).length).toBe(1);
    expect((await buffer(source.open({ start: bytes.length, end: 2 ** 40 }))).length).toBe(0);
  });

  it("comes in full chunks but for the last", async () => {
    const source = await fileSource(await written());
    const sizes: number[] = [];
    for await (const chunk of sourceChunks(source)) sizes.push(chunk.length);
    expect(sizes).toEqual([CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES, 12_345]);
    expect((await read(source)).equals(bytes)).toBe(true);
  });

  it.each([0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])("may have %d bytes", async (size) => {
    const source = await fileSource(await written(bytes.subarray(0, size)));
    expect((await read(source)).equals(bytes.subarray(0, size))).toBe(true);
    expect((await buffer(source.open())).equals(bytes.subarray(0, size))).toBe(true);
  });

  it("is followed through links", async () => {
    await symlink(await written(), join(dir, "link"));
    const source = await fileSource(join(dir, "link"));
    expect((await read(source)).equals(bytes)).toBe(true);
    await source.verifyUnchanged();
  });

  it("that does not exist is FILES_MISSING", async () => {
    const path = join(dir, "absent");
    await expect(fileSource(path)).rejects.toMatchObject({ code: "FILES_MISSING", status: 404 });
    await expect(fileSource(path)).rejects.toThrow(path);
    const below = join(await written(), "below-a-file");
    await expect(fileSource(below)).rejects.toMatchObject({ code: "FILES_MISSING" });
  });

  it("must be an ordinary file: no folder, no device, and no pipe that would never open", async () => {
    const refusal = { code: "FILES_NOT_A_FILE", status: 400 };
    await mkdir(join(dir, "folder"));
    await expect(fileSource(join(dir, "folder"))).rejects.toMatchObject(refusal);
    await expect(fileSource(join(dir, "folder"))).rejects.toThrow("is a folder");
    await expect(fileSource("/dev/null")).rejects.toThrow("is a device");
    execFileSync("mkfifo", [join(dir, "pipe")]);
    await expect(fileSource(join(dir, "pipe"))).rejects.toThrow("is a pipe");
  });

  it("that may not be read is FILES_UNREADABLE", async () => {
    const path = await written();
    await chmod(path, 0o000);
    const asRoot = process.geteuid?.() === 0;
    if (asRoot) process.seteuid?.(65_534);
    try {
      await expect(fileSource(path)).rejects.toMatchObject({
        code: "FILES_UNREADABLE",
        status: 403,
      });
    } finally {
      if (asRoot) process.seteuid?.(0);
    }
  });

  it("has an identity that changes with its bytes", async () => {
    const path = await written();
    const before = await fileSource(path);
    expect((await fileSource(path)).identity).toBe(before.identity);
    await appendFile(path, "x");
    expect((await fileSource(path)).identity).not.toBe(before.identity);
  });

  it("that changed is never read as if it had not", async () => {
    const path = await written();
    const source = await fileSource(path);
    await source.verifyUnchanged();
    await appendFile(path, "x");
    const changed = { code: "FILES_SOURCE_CHANGED", status: 409 };
    await expect(source.verifyUnchanged()).rejects.toMatchObject(changed);
    await expect(buffer(source.open())).rejects.toMatchObject(changed);
    await expect(read(source)).rejects.toMatchObject(changed);
  });

  it("that was removed, or replaced by one of the same length, changed", async () => {
    const changed = { code: "FILES_SOURCE_CHANGED" };
    const path = await written();
    const source = await fileSource(path);
    await rm(path);
    await expect(source.verifyUnchanged()).rejects.toMatchObject(changed);
    await expect(buffer(source.open())).rejects.toMatchObject(changed);
    await expect(read(source)).rejects.toMatchObject(changed);
    await written(randomBytes(bytes.length));
    await expect(source.verifyUnchanged()).rejects.toMatchObject(changed);
    await expect(read(source)).rejects.toMatchObject(changed);
  });

  it("that shrinks while it is read ends in an error, not early", async () => {
    const changed = { code: "FILES_SOURCE_CHANGED" };
    const path = await written();
    const source = await fileSource(path);
    const chunks = sourceChunks(source);
    await chunks.next();
    const stream = source.open();
    await new Promise((resolve) => stream.once("readable", resolve));
    await truncate(path, 100);
    await expect(
      (async () => {
        for await (const _ of chunks);
      })(),
    ).rejects.toMatchObject(changed);
    await expect(buffer(stream)).rejects.toMatchObject(changed);
  });
});

describe("bytes in memory", () => {
  it("are read as often as wanted, whole or in ranges", async () => {
    const source = bytesSource(bytes);
    expect(source).toMatchObject({ sizeBytes: bytes.length, path: null, identity: null });
    expect((await buffer(source.open())).equals(bytes)).toBe(true);
    expect((await read(source)).equals(bytes)).toBe(true);
    const range = await buffer(source.open({ start: 5, end: 9 }));
    expect(range.equals(bytes.subarray(5, 10))).toBe(true);
    expect((await buffer(bytesSource(new Uint8Array()).open())).length).toBe(0);
  });
});
