import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { readListPage } from "../../src/files/storage/object-list.ts";
import { StreamingStorage } from "../../src/files/storage/streaming-storage.ts";
import { objectServer, sendJson } from "./object-server.ts";

describe("a page of a list of objects", () => {
  it("is read in the real server's form, with folders, and in the embedded one's", () => {
    const metadata = { size: 3 };
    const at = "2026-11-21T10:00:00.000Z";
    const real = [
      { name: "ab", id: null, metadata: null, updated_at: null },
      { name: "x.bin", id: "1", metadata, updated_at: at },
    ];
    expect(readListPage("none/user-data/", JSON.stringify(real))).toEqual({
      objects: [{ key: "none/user-data/x.bin", sizeBytes: 3, storedAt: at }],
      folders: ["none/user-data/ab/"],
      entries: 2,
    });
    const flat = [{ name: "none/user-data/x.bin", id: "1", metadata, created_at: at }];
    expect(readListPage("none/", JSON.stringify(flat))?.objects).toEqual([
      { key: "none/user-data/x.bin", sizeBytes: 3, storedAt: at },
    ]);
    expect(readListPage("", '{"error":"x"}')).toBeUndefined();
    expect(readListPage("", "<html>")).toBeUndefined();
  });

  it("leads on into folders and through pages", async () => {
    const keys = Array.from({ length: 2500 }, (_, n) => `a/${n % 2}/${String(n).padStart(5, "0")}`);
    const server = await objectServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { prefix, limit, offset } = JSON.parse(Buffer.concat(chunks).toString()) as {
        prefix: string;
        limit: number;
        offset: number;
      };
      const below = keys
        .filter((key) => key.startsWith(prefix))
        .map((key) => key.slice(prefix.length));
      const names = [...new Set(below.map((key) => key.split("/")[0] ?? ""))].sort();
      const entries = names.map((name) =>
        below.includes(name)
          ? { name, id: name, metadata: { size: 1 }, updated_at: "2026-11-21T10:00:00.000Z" }
          : { name, id: null },
      );
      sendJson(response, 200, entries.slice(offset, offset + limit));
    });
    const access = { url: server.url, secretKey: "sb_secret_test", bucket: "files" };
    const storage = new StreamingStorage(access, { clock: systemClock });
    const found: string[] = [];
    for await (const { key } of storage.list("", new AbortController().signal)) found.push(key);
    expect(found.toSorted()).toEqual(keys.toSorted());
    await storage.close();
    await server.close();
  });
});
