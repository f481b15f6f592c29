import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { ContentLock } from "../../src/files/content-lock.ts";
import { bytesSource } from "../../src/files/source.ts";
import { ContractBench, type ContractSubject, expectSame } from "./contract-bench.ts";
import { callOf, eventually, sha256Of } from "./file-manager-world.ts";

/** The part of the contract about nothing being lost, doubled or left behind. */
export function fileSafetyContract(name: string, make: () => ContractSubject): void {
  describe(`${name} file manager`, () => {
    const bench = new ContractBench(`${name} safety`, make);

    describe("stores the same bytes once", () => {
      it("with two files, and keeps them for the one that stays", async () => {
        const bytes = bench.bytes("twice", 70_000);
        const sha256 = sha256Of(bytes);
        const first = await bench.upload(bytes, { provider: "kimi" });
        const second = await bench.upload(bytes, { provider: "kimi", name: "b.pdf" });
        expect(second.id).not.toBe(first.id);
        expect(second.providerFileId).toBe(first.providerFileId);
        expect(await bench.world.contents(sha256)).toHaveLength(1);
        expect(await bench.world.objects(sha256)).toHaveLength(1);
        expect(await bench.world.arrived("kimi", sha256)).toHaveLength(1);

        const { owner, id } = first;
        expect(await bench.manager.delete({ owner, id }, callOf())).toEqual({ id, deleted: true });
        expectSame(await bench.download(second), bytes);
        expect(await bench.world.arrived("kimi", sha256)).toHaveLength(1);

        await bench.manager.delete({ owner: second.owner, id: second.id }, callOf());
        expect(await bench.world.contents(sha256)).toEqual([]);
        expect(await bench.world.objects(sha256)).toEqual([]);
        expect(await bench.world.arrived("kimi", sha256)).toEqual([]);
      });

      it.each(["force", "return"] as const)(
        "and again when they were lost, where duplicates are to %s",
        async (onDuplicate) => {
          const bytes = bench.bytes(`lost ${onDuplicate}`, 30_000);
          const first = await bench.upload(bytes, { provider: "kimi" });
          const [key = ""] = await bench.world.objects(sha256Of(bytes));
          await bench.world.loseObject(key);
          await expect(bench.download(first)).rejects.toMatchObject({ code: "FILES_INTEGRITY" });
          const again = await bench.upload(bytes, { provider: "kimi", onDuplicate });
          expectSame(await bench.download(again), bytes);
          // Whoever pointed at them before has them back, and nobody else has anything twice.
          expectSame(await bench.download(first), bytes);
          expect(await bench.world.objects(sha256Of(bytes))).toEqual([key]);
          expect(await bench.world.arrived("kimi", sha256Of(bytes))).toHaveLength(1);
        },
      );

      it("but once for each provider", async () => {
        const bytes = bench.bytes("per provider", 5000);
        const kimi = await bench.upload(bytes, { provider: "kimi" });
        await bench.upload(bytes, { provider: "glm" });
        await bench.manager.delete({ owner: kimi.owner, id: kimi.id }, callOf());
        expect(await bench.world.arrived("kimi", sha256Of(bytes))).toEqual([]);
        expect(await bench.world.arrived("glm", sha256Of(bytes))).toHaveLength(1);
        expect(await bench.world.objects(sha256Of(bytes))).toHaveLength(1);
      });

      it("when both paths store them at the same time", async () => {
        const bytes = bench.bytes("both", 400_000);
        const other = bench.request(bytesSource(bytes), { provider: "glm" });
        const files = await Promise.all([
          bench.upload(bytes, { provider: "glm" }),
          bench.subject.other.upload(other, callOf()),
          bench.upload(bytes, { provider: "glm" }),
        ]);
        expect(new Set(files.map((each) => each.providerFileId)).size).toBe(1);
        expect(await bench.world.contents(sha256Of(bytes))).toHaveLength(1);
        expect(await bench.world.objects(sha256Of(bytes))).toHaveLength(1);
        expect(await bench.world.arrived("glm", sha256Of(bytes))).toHaveLength(1);
      });

      it("when two processes store them at the same time", async () => {
        const bytes = bench.bytes("processes", 400_000);
        const others = [1, 2, 3].map(() => bench.subject.elsewhere(new ContentLock()));
        const files = await Promise.all(
          [bench.manager, ...others].map((each) =>
            each.upload(bench.request(bytesSource(bytes), { provider: "kimi" }), callOf()),
          ),
        );
        expect(new Set(files.map((each) => each.providerFileId)).size).toBe(1);
        expect(await bench.world.contents(sha256Of(bytes))).toHaveLength(1);
        expect(await bench.world.objects(sha256Of(bytes))).toHaveLength(1);
        expect(await bench.world.arrived("kimi", sha256Of(bytes))).toHaveLength(1);
        for (const file of files) expectSame(await bench.download(file), bytes);
      });
    });

    describe("deletes a file", () => {
      it("and says what it could not remove", async () => {
        const bytes = bench.bytes("left behind", 30_000);
        const { owner, id } = await bench.upload(bytes, { provider: "kimi" });
        await bench.world.fault("kimi", { errorStatus: 400, operations: ["delete"] });
        const deleted = await bench.manager.delete({ owner, id }, callOf());
        await bench.world.fault("kimi", null);
        expect(deleted).toEqual({ id, deleted: true, left: ["provider-file"] });
        // Whoever reads the log is told too, and by name.
        const [complaint] = bench.world.complaints.splice(0);
        expect(complaint?.["left"]).toMatch(/^file \S+ at provider kimi$/);
        await expect(bench.manager.info({ owner, id }, callOf())).rejects.toMatchObject({
          code: "FILES_NOT_FOUND",
        });
        expect(await bench.world.objects(sha256Of(bytes))).toEqual([]);
        expect(await bench.world.arrived("kimi", sha256Of(bytes))).toHaveLength(1);
      });
    });

    describe("sends files to providers", () => {
      it.each([
        ["kimi", 1],
        ["kimi", 1_500_001],
        ["glm", 256 * 1024],
        ["glm", 999_999],
      ] as const)("%s gets every byte of %i", async (provider, size) => {
        const bytes = bench.bytes(`to ${provider} ${size}`, size);
        const file = await bench.upload(bytes, { provider, name: "données 📄.pdf" });
        const [arrived, ...more] = await bench.world.arrived(provider, sha256Of(bytes));
        expect(more).toEqual([]);
        expect(arrived).toMatchObject({ id: file.providerFileId, bytes: size });
        expect(arrived?.fileName).toBe("données 📄.pdf");
      });
    });

    describe("leaves nothing behind", () => {
      const expectNothing = async (owner: string, bytes: Buffer): Promise<void> => {
        const sha256 = sha256Of(bytes);
        expect(await bench.world.files(owner)).toEqual([]);
        expect(await bench.world.contents(sha256)).toEqual([]);
        expect(await bench.world.objects(sha256)).toEqual([]);
        expect(await bench.world.arrived("kimi", sha256)).toEqual([]);
      };

      it.each([500, 400, 429])("when the provider answers %i", async (errorStatus) => {
        const owner = randomUUID();
        const bytes = bench.bytes(`refused ${errorStatus}`, 300_000);
        await bench.world.fault("kimi", { errorStatus, operations: ["upload"] });
        const error: unknown = await bench
          .upload(bytes, { owner, provider: "kimi" })
          .catch((each: unknown) => each);
        expect(error).toMatchObject({ code: expect.stringMatching(/^FILES_PROVIDER_/) });
        await expectNothing(owner, bytes);
      });

      it("when the provider cuts the connection", async () => {
        const owner = randomUUID();
        const bytes = bench.bytes("cut", 3_000_000);
        await bench.world.fault("kimi", { resetAfterBytes: 1_000_000, operations: ["upload"] });
        await expect(bench.upload(bytes, { owner, provider: "kimi" })).rejects.toMatchObject({
          code: "FILES_PROVIDER_UNAVAILABLE",
        });
        await expectNothing(owner, bytes);
      });

      it("when its caller gives up in the middle", async () => {
        const owner = randomUUID();
        const bytes = bench.bytes("aborted", 500_000);
        const before = await bench.world.uploadRequests("kimi");
        await bench.world.fault("kimi", { latencyMs: 60_000, operations: ["upload"] });
        const caller = new AbortController();
        const reason = new Error("The caller went home.");
        const uploading = bench.manager.upload(
          bench.request(bytesSource(bytes), { owner, provider: "kimi" }),
          callOf({ signal: caller.signal }),
        );
        const settled = uploading.catch((error: unknown) => error);
        await eventually("the provider got the request", async () => {
          return (await bench.world.uploadRequests("kimi")) > before;
        });
        caller.abort(reason);
        expect(await settled).toBe(reason);
        await expectNothing(owner, bytes);
      });

      it("when its caller gave up before", async () => {
        const owner = randomUUID();
        const bytes = bench.bytes("too late", 500_000);
        const reason = new Error("The caller went home.");
        const call = callOf({ signal: AbortSignal.abort(reason) });
        await expect(
          bench.manager.upload(bench.request(bytesSource(bytes), { owner }), call),
        ).rejects.toBe(reason);
        await expectNothing(owner, bytes);
      });

      it("and then takes the same upload again", async () => {
        const bytes = bench.bytes("again", 300_000);
        await bench.world.fault("glm", { errorStatus: 500, count: 1, operations: ["upload"] });
        await expect(bench.upload(bytes, { provider: "glm" })).rejects.toMatchObject({
          code: "FILES_PROVIDER_UNAVAILABLE",
        });
        expectSame(await bench.download(await bench.upload(bytes, { provider: "glm" })), bytes);
      });
    });
  });
}
