import { createHash, randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import type { LogFields } from "../../../src/base/logger.ts";
import { noThroughput } from "../../../src/files/providers/health/throughput.ts";
import {
  glmBigmodelProfile,
  glmZaiProfile,
  kimiProfile,
} from "../../../src/files/providers/profiles.ts";
import type { ProviderUpload } from "../../../src/files/providers/provider.ts";
import { checkUpload } from "../../../src/files/providers/upload-check.ts";
import { ProviderSelector } from "../../../src/files/selection/provider-selector.ts";
import { selectProvider } from "../../../src/files/selection/selection.ts";
import { bytesSource } from "../../../src/files/source.ts";
import {
  closeAll,
  failureOf,
  json,
  providerAt,
  serve,
  signal,
  transports,
  uploadOf,
} from "../fixtures/provider-server.ts";
import { SteadyWorld } from "../fixtures/steady-world.ts";
import { seen } from "./defects.ts";

let world: SteadyWorld;
beforeAll(async () => {
  world = await SteadyWorld.open();
});
afterEach(async () => {
  await closeAll();
  await world.reset();
});
afterAll(() => world?.close());

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

describe("what users of the predecessor saw, and nobody sees any more", () => {
  it(seen(1), async () => {
    const bytes = randomBytes(100_000);
    await world.faults({ loseReply: 1, count: 1, operations: ["upload"] });
    await world.provider().upload(await world.upload(bytes), signal);
    expect((await world.report()).files).toMatchObject([{ sha256: hashOf(bytes) }]);
  });

  it.each([kimiProfile, glmZaiProfile, glmBigmodelProfile])(`${seen(2)}: $id`, async (profile) => {
    const name = profile.provider as "kimi" | "glm";
    const purpose = profile.defaultPurpose;
    const upload: ProviderUpload = { ...(await world.upload(randomBytes(100))), purpose };
    checkUpload(profile, { provider: name, sizeBytes: 100, ...upload });
    expect(await world.provider(name).upload(upload, signal)).toMatchObject({ sizeBytes: 100 });
  });

  it.each(transports)(`${seen(3)}: %s`, async (transport) => {
    const { baseUrl } = await serve((request, response) => {
      request.resume();
      request.on("end", () => json(response, 200, { id: "file-1", bytes: 1, more: { a: [1] } }));
    });
    const upload = uploadOf(bytesSource(Buffer.from("x")));
    expect(await providerAt(baseUrl, { transport }).upload(upload, signal)).toMatchObject({
      id: "file-1",
      purpose: "file-extract",
    });
  });

  it(seen(7), async () => {
    const provider = world.provider();
    const contents = [randomBytes(1000), randomBytes(1000)];
    const uploads = await Promise.all(contents.map((bytes) => world.upload(bytes, "report.pdf")));
    const files = await Promise.all(uploads.map((upload) => provider.upload(upload, signal)));
    const arrived = new Map((await world.report()).files.map(({ id, sha256 }) => [id, sha256]));
    expect(files.map(({ id }) => arrived.get(id))).toEqual(contents.map(hashOf));
  });

  it.each([400, 401, 404, 413, 429, 500, 503])(`${seen(8)}: %i`, async (errorStatus) => {
    await world.faults({ errorStatus, operations: ["upload"] });
    const provider = world.provider("kimi", { retry: { attempts: 1 } });
    const error = await failureOf(provider.upload(await world.upload(randomBytes(9)), signal));
    expect(error["code"]).toMatch(/^FILES_PROVIDER_/);
    expect((await world.report()).files).toEqual([]);
  });

  it(seen(10), async () => {
    const provider = world.provider();
    const file = await provider.upload(await world.upload(randomBytes(100)), signal);
    await world.faults({ errorStatus: 500, operations: ["delete"] });
    expect(await failureOf(provider.remove(file.id, signal))).toMatchObject({
      code: "FILES_PROVIDER_UNAVAILABLE",
    });
    expect((await world.report()).files).toHaveLength(1);
    await world.faults({ loseReply: 1, count: 1, operations: ["delete"] });
    await provider.remove(file.id, signal);
    expect((await world.report()).files).toEqual([]);
  });

  it(seen(11), async () => {
    await world.faults({ errorStatus: 503 });
    const kimi = world.provider("kimi", { profile: kimiProfile });
    const selector = new ProviderSelector({
      clock: systemClock,
      profiles: [kimiProfile, glmBigmodelProfile],
      providers: [kimi, world.provider("glm", { profile: glmBigmodelProfile })],
    });
    const request = { name: "a.pdf", mimeType: "application/pdf", sizeBytes: 50 * 2 ** 20 };
    const error = await failureOf(selector.choose(request, signal));
    expect(error).toMatchObject({ code: "FILES_NO_PROVIDER", status: 503, retryable: true });
    expect(error.message).toContain("kimi is down");
    expect(error.message).toContain("glm cannot take it");
    // Asked for GLM and got GLM: the predecessor sent everything to Kimi without a word.
    const up = { health: "up", healthReason: "", quota: null, throughput: noThroughput } as const;
    const both = [kimiProfile, glmZaiProfile].map((profile) => ({ profile, ...up }));
    const asked = { ...request, sizeBytes: 1000, preference: "glm", question: "?" } as const;
    expect(selectProvider(asked, both).choice).toBe("glm");
  });

  it(seen(12), async () => {
    const provider = world.provider();
    const file = await provider.upload(await world.upload(Buffer.from("%PDF-1.7 text")), signal);
    const { kind, body } = await provider.content(file.id, signal);
    body.destroy();
    expect(kind).toBe("extracted-text");
  });

  it(`${seen(15)}: a quota`, async () => {
    const warned: LogFields[] = [];
    const ignore = (): void => undefined;
    const warn = (fields: LogFields): void => void warned.push(fields);
    const provider = world.provider("kimi", {
      profile: kimiProfile,
      logger: { debug: ignore, info: ignore, warn, error: ignore },
    });
    await world.faults({ errorStatus: 400, operations: ["list"] });
    await provider.upload(await world.upload(randomBytes(9)), signal);
    // It goes on, because the provider holds its own limits; but it says so, and knows no quota.
    expect(warned).toMatchObject([{ provider: "kimi", err: { code: /FILES_PROVIDER_/ } }]);
    expect(provider.quota("file-extract")).toBeNull();
  });

  it(`${seen(15)}: a limit of requests`, async () => {
    const provider = world.provider("kimi", {
      limits: { requestsPerSecond: 1, requests: 1, waitingMax: 1, waitMs: 100 },
    });
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () => provider.list("batch", signal)),
    );
    const codes = results.map((each) => (each.status === "rejected" ? each.reason.code : "done"));
    expect(codes).toEqual(["done", "FILES_BUSY", "FILES_BUSY", "FILES_BUSY"]);
    expect((await world.report()).requests["list"]).toBe(1);
  });
});
