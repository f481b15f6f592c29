import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ContentLock } from "../../src/files/content-lock.ts";
import type { StoredFile } from "../../src/files/file-manager.ts";
import { fileSource } from "../../src/files/source.ts";
import { ContractBench, type ContractSubject, expectSame } from "./contract-bench.ts";
import { callOf, eventually, readAll, seededBytes, sha256Of } from "./file-manager-world.ts";
import { fileSafetyContract } from "./file-safety.ts";

const KiB = 1024;
const sizes = [1, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, 256 * KiB - 1, 256 * KiB, 256 * KiB + 1];

/** What every file manager keeps to, whichever way its bytes travel. */
export function fileManagerContract(name: string, make: () => ContractSubject): void {
  fileSafetyContract(name, make);
  describe(`${name} file manager`, () => {
    const bench = new ContractBench(name, make);

    describe("gives back what it was given", () => {
      it.each([0, ...sizes, 5 * KiB * KiB + 7])("byte for byte, for %i bytes", async (size) => {
        const bytes = bench.bytes(`round ${size}`, size);
        const file = await bench.upload(bytes);
        expect(file).toMatchObject({ sizeBytes: size, sha256: sha256Of(bytes), provider: "none" });
        expectSame(await bench.download(file), bytes);
        expectSame(await bench.download(file, bench.subject.other), bytes);
      });

      it("from a file on disk, whose bytes it reads itself", async () => {
        const folder = await mkdtemp(join(tmpdir(), "changeover-contract-"));
        const bytes = bench.bytes("disk", 1_000_003);
        await writeFile(join(folder, "a.bin"), bytes);
        const source = await fileSource(join(folder, "a.bin"));
        const file = await bench.manager.upload(bench.request(source), callOf());
        await rm(folder, { recursive: true });
        expect(file.sha256).toBe(sha256Of(bytes));
        expectSame(await bench.download(file), bytes);
      });

      it("with its name, type, purpose and metadata", async () => {
        const owner = randomUUID();
        const metadata = { project: 'Ω, "quoted"', empty: "" };
        const file = await bench.upload(bench.bytes("facts", 10), {
          owner,
          metadata,
          name: "Report.pdf",
        });
        expect(file).toMatchObject({ owner, name: "Report.pdf", metadata, purpose: "user-data" });
        expect(file.mimeType).toBe("application/pdf");
        expect(file.createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        expect(await bench.manager.info({ owner, id: file.id }, callOf())).toEqual(file);
        expect(await bench.subject.other.info({ owner, id: file.id }, callOf())).toEqual(file);
      });

      it.each(["📊 Zahlen ✓.pdf", "تقرير.pdf", "a'b,c(d).pdf", "%2e%2e;DROP.pdf"])(
        "under the name %s",
        async (given) => {
          const owner = randomUUID();
          const file = await bench.upload(bench.bytes(given, 100), {
            owner,
            name: given,
            provider: "kimi",
          });
          expect(file.name).toBe(given);
          const { files } = await bench.manager.list({ owner, limit: 10 }, callOf());
          expect(files.map((each) => each.name)).toEqual([given]);
        },
      );

      it("and tells its progress up to the last byte", async () => {
        const told: number[] = [];
        const bytes = bench.bytes("progress", 600_000);
        await bench.upload(bytes, { progress: (sent) => told.push(sent) });
        expect(told.at(-1)).toBe(600_000);
        expect(told).toEqual(told.toSorted((a, b) => a - b));
      });
    });

    describe("answers ranges", () => {
      const whole = seededBytes(`${name} ranges`, 300_000);
      let file: StoredFile;
      beforeAll(async () => {
        file = await bench.upload(whole);
      });

      it.each([
        ["in the middle", { start: 1000, end: 270_000 }, [1000, 270_000]],
        ["with an open end", { start: 290_000, end: null }, [290_000, 299_999]],
        ["past the end", { start: 299_000, end: 999_999 }, [299_000, 299_999]],
        ["of the last byte", { start: 299_999, end: 299_999 }, [299_999, 299_999]],
        ["of everything", { start: 0, end: null }, [0, 299_999]],
      ] as const)("%s", async (_title, range, [start, end]) => {
        const { owner, id } = file;
        const answer = await bench.manager.download({ owner, id, range }, callOf());
        expect(answer.range).toEqual({ start, end });
        expectSame(await readAll(answer.body), whole.subarray(start, end + 1));
      });

      it("but not one that starts past the end", async () => {
        const { owner, id } = file;
        const range = { start: 300_000, end: null };
        await expect(bench.manager.download({ owner, id, range }, callOf())).rejects.toMatchObject({
          code: "FILES_RANGE_NOT_SATISFIABLE",
          status: 416,
        });
      });
    });

    describe("lists", () => {
      const owner = randomUUID();
      const files: StoredFile[] = [];
      beforeAll(async () => {
        for (let index = 0; index < 7; index += 1) {
          const provider = index % 3 === 0 ? "glm" : "none";
          const more = { owner, name: `${index}.pdf`, provider } as const;
          files.push(await bench.upload(bench.bytes(`list ${index}`, 20 + index), more));
        }
      });
      const byNewest = (): string[] =>
        files
          .toSorted((a, b) => cmp(b.createdAt, a.createdAt) || cmp(b.id, a.id))
          .map((each) => each.id);
      const walk = async (limit: number, order: "asc" | "desc"): Promise<string[]> => {
        const ids: string[] = [];
        for (let after: string | undefined; ; after = ids.at(-1)) {
          const ask = { owner, limit, order, ...(after === undefined ? {} : { after }) };
          const page = await bench.manager.list(ask, callOf());
          ids.push(...page.files.map((each) => each.id));
          expect(page.files.length).toBeLessThanOrEqual(limit);
          if (!page.hasMore) return ids;
        }
      };

      it("the newest first, page by page, nothing twice and nothing left out", async () => {
        expect(await walk(3, "desc")).toEqual(byNewest());
        expect(await walk(7, "desc")).toEqual(byNewest());
      });

      it("the oldest first where asked", async () => {
        expect(await walk(2, "asc")).toEqual(byNewest().toReversed());
      });

      it("one purpose only where asked", async () => {
        const page = await bench.manager.list({ owner, limit: 100, purpose: "agent" }, callOf());
        expect(page.files.map((each) => each.name).toSorted()).toEqual(["0.pdf", "3.pdf", "6.pdf"]);
        expect(page.hasMore).toBe(false);
      });

      it("the same as the other path", async () => {
        const ask = { owner, limit: 100 };
        const [mine, others] = await Promise.all([
          bench.manager.list(ask, callOf()),
          bench.subject.other.list(ask, callOf()),
        ]);
        expect(mine).toEqual(others);
      });

      it("nothing after an id it does not know", async () => {
        const ask = { owner, limit: 3, after: randomUUID() };
        await expect(bench.manager.list(ask, callOf())).rejects.toMatchObject({
          code: "FILES_NOT_FOUND",
        });
      });
    });

    describe("keeps owners apart", () => {
      it("so that nobody reads, lists or deletes another's file", async () => {
        const mine = await bench.upload(bench.bytes("mine", 50));
        const stranger = { owner: randomUUID(), id: mine.id };
        const notFound = { code: "FILES_NOT_FOUND", status: 404 };
        await expect(bench.manager.info(stranger, callOf())).rejects.toMatchObject(notFound);
        await expect(bench.manager.download(stranger, callOf())).rejects.toMatchObject(notFound);
        await expect(bench.manager.delete(stranger, callOf())).rejects.toMatchObject(notFound);
        const page = { owner: stranger.owner, limit: 100 };
        expect(await bench.manager.list(page, callOf())).toEqual({ files: [], hasMore: false });
        const after = { ...page, after: mine.id };
        await expect(bench.manager.list(after, callOf())).rejects.toMatchObject(notFound);
        expectSame(await bench.download(mine), bench.bytes("mine", 50));
      });

      it("also where they store the same bytes: each keeps the name and the type they gave", async () => {
        const bytes = bench.bytes("shared", 60);
        const mine = await bench.upload(bytes, { name: "mine.txt", mimeType: "text/plain" });
        const owner = randomUUID();
        const theirs = { owner, name: "theirs.bin", mimeType: "application/x-theirs" };
        const file = await bench.upload(bytes, theirs);
        expect(await bench.manager.info({ owner, id: file.id }, callOf())).toMatchObject(theirs);
        const again = await bench.manager.info({ owner: mine.owner, id: mine.id }, callOf());
        expect(again).toMatchObject({ name: "mine.txt", mimeType: "text/plain" });
      });

      it.each(["not-a-uuid", "'; drop table files; --", ""])(
        "and takes %j for a file that is not there",
        async (id) => {
          const ask = { owner: "somebody", id };
          const notFound = { code: "FILES_NOT_FOUND" };
          await expect(bench.manager.info(ask, callOf())).rejects.toMatchObject(notFound);
          await expect(bench.manager.delete(ask, callOf())).rejects.toMatchObject(notFound);
        },
      );
    });

    describe("notes the time of access", () => {
      it("of a served download, and not of a shadow", async () => {
        const file = await bench.upload(bench.bytes("access", 10));
        const ask = { owner: file.owner, id: file.id };
        const accessedAt = async (): Promise<string> =>
          (await bench.manager.info(ask, callOf())).accessedAt;
        const shadow = await bench.manager.download(ask, callOf({ source: "shadow" }));
        await readAll(shadow.body);
        const closer = bench.subject.elsewhere(new ContentLock());
        await readAll((await closer.download(ask, callOf({ source: "shadow" }))).body);
        await closer.close();
        expect(await accessedAt()).toBe(file.accessedAt);
        await readAll((await bench.manager.download(ask, callOf())).body);
        await eventually(
          "the access was noted",
          async () => (await accessedAt()) > file.accessedAt,
        );
      });
    });

    it("deletes a file once", async () => {
      const { owner, id } = await bench.upload(bench.bytes("once", 10));
      expect(await bench.manager.delete({ owner, id }, callOf())).toEqual({ id, deleted: true });
      const notFound = { code: "FILES_NOT_FOUND" };
      await expect(bench.manager.delete({ owner, id }, callOf())).rejects.toMatchObject(notFound);
      await expect(bench.manager.info({ owner, id }, callOf())).rejects.toMatchObject(notFound);
      await expect(bench.manager.download({ owner, id }, callOf())).rejects.toMatchObject(notFound);
    });
  });
}

function cmp(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
