import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createProvider } from "../../src/files/providers/create-provider.ts";
import { type ProviderProfile, profiles } from "../../src/files/providers/profiles.ts";
import type { Provider } from "../../src/files/providers/provider.ts";
import { checkUpload } from "../../src/files/providers/upload-check.ts";
import { fileSource } from "../../src/files/source.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";
import { failureOf, signal, transports } from "./fixtures/provider-server.ts";

let dir: string;
let sandbox: Sandbox;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "changeover-providers-"));
  sandbox = await startSandbox({ dataDir: join(dir, "sandbox") });
});
afterAll(async () => {
  await sandbox?.close();
  await rm(dir, { recursive: true, force: true, maxRetries: 5 });
});

const names = ["kimi", "glm"] as const;
const everyWay = names.flatMap((name) => transports.map((transport) => ({ name, transport })));

const admin = (name: Provider["name"], method: string, path: string, body?: object) =>
  fetch(`${sandbox.addresses[name].adminUrl}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });

async function arrivedAt(name: Provider["name"]): Promise<{ id: string; sha256: string }[]> {
  const report = (await (await admin(name, "GET", "/report")).json()) as {
    files: { id: string; sha256: string }[];
  };
  return report.files;
}

describe.each(everyWay)("the stand-in for $name, by the $transport transport", (way) => {
  const { name } = way;
  const providerWith = async <T>(use: (provider: Provider) => Promise<T>): Promise<T> => {
    const { baseUrl, apiKey } = sandbox.addresses[name];
    const provider = createProvider({ ...way, baseUrl, apiKey });
    return use(provider).finally(() => provider.close());
  };
  const purpose = "file-extract";
  const uploadOf = async (bytes: Uint8Array) => {
    const path = join(dir, "report.pdf");
    await writeFile(path, bytes);
    const source = await fileSource(path);
    return { source, name: '报告 🚀 "final".pdf', mimeType: "application/pdf", purpose };
  };

  beforeEach(async () => {
    await admin(name, "DELETE", "/faults");
    await admin(name, "DELETE", "/files");
  });

  it("takes a file byte for byte, knows it, lists it and removes it", async () => {
    const bytes = randomBytes(5_000_003);
    await providerWith(async (provider) => {
      const file = await provider.upload(await uploadOf(bytes), signal);
      expect(file).toMatchObject({ sizeBytes: bytes.length, purpose });
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      expect(await arrivedAt(name)).toMatchObject([{ id: file.id, sha256 }]);
      expect(await provider.info(file.id, purpose, signal)).toEqual(file);
      expect(await provider.list(purpose, signal)).toEqual([file]);
      expect(await provider.list("batch", signal)).toEqual([]);
      await provider.remove(file.id, signal);
      await provider.remove(file.id, signal);
      expect(await provider.info(file.id, purpose, signal)).toBeNull();
      expect(await arrivedAt(name)).toEqual([]);
    });
  });

  it("refuses what breaks its rules, and that is the user's matter", async () => {
    await providerWith(async (provider) => {
      const error = await failureOf(provider.upload(await uploadOf(new Uint8Array()), signal));
      expect(error).toMatchObject({ code: "FILES_PROVIDER_REJECTED", status: 400 });
      const upload = { ...(await uploadOf(randomBytes(9))), purpose: "world-domination" };
      expect(await failureOf(provider.upload(upload, signal))).toMatchObject({
        code: "FILES_PROVIDER_REJECTED",
        details: { provider: name, effect: "absent" },
      });
    });
  });

  it("refuses a wrong key", async () => {
    const { baseUrl } = sandbox.addresses[name];
    const provider = createProvider({ ...way, baseUrl, apiKey: "sk-wrong" });
    const error = await failureOf(provider.list(purpose, signal)).finally(() => provider.close());
    expect(error).toMatchObject({ code: "FILES_PROVIDER_UNAUTHORISED" });
  });

  it.each([
    [{ errorStatus: 429 }, "FILES_PROVIDER_THROTTLED"],
    [{ errorStatus: 500 }, "FILES_PROVIDER_UNAVAILABLE"],
    [{ errorStatus: 503 }, "FILES_PROVIDER_UNAVAILABLE"],
  ])("with the fault %j fails as %s, retryable", async (fault, code) => {
    await admin(name, "PUT", "/faults", { ...fault, count: 1, operations: ["list"] });
    await providerWith(async (provider) => {
      const error = await failureOf(provider.list(purpose, signal));
      expect(error).toMatchObject({ code, retryable: true, details: { provider: name } });
      expect(await provider.list(purpose, signal)).toEqual([]);
    });
  });

  it.each([
    [{ resetAfterBytes: 1_000_000 }, 0],
    [{ loseReply: 1 }, 1],
  ])("with the fault %j cannot know that %d files were stored", async (fault, stored) => {
    await admin(name, "PUT", "/faults", { ...fault, count: 1, operations: ["upload"] });
    await providerWith(async (provider) => {
      const upload = await uploadOf(randomBytes(3_000_000));
      expect(await failureOf(provider.upload(upload, signal))).toMatchObject({
        code: "FILES_PROVIDER_UNAVAILABLE",
        retryable: true,
        details: { provider: name, effect: "possible" },
      });
      expect(await arrivedAt(name)).toHaveLength(stored);
      // The next attempt reads the file anew.
      expect((await provider.upload(upload, signal)).sizeBytes).toBe(3_000_000);
    });
  });
});

describe("our own limits", () => {
  const sampleOf = (profile: ProviderProfile, purpose: string) => {
    const name = `a.${profile.purposes[purpose]?.extensions?.[0] ?? "bin"}`;
    return { provider: profile.provider, purpose, name, mimeType: "text/plain", sizeBytes: 10 };
  };
  const cases = profiles
    .filter((profile) => profile.provider !== "none")
    .flatMap((profile) => Object.keys(profile.purposes).map((purpose) => ({ profile, purpose })));

  it.each(cases)("let through what $profile.id takes for $purpose", async (each) => {
    const { profile, purpose } = each;
    const upload = sampleOf(profile, purpose);
    checkUpload(profile, upload);
    const name = profile.provider as Provider["name"];
    const { baseUrl, apiKey } = sandbox.addresses[name];
    const provider = createProvider({ name, baseUrl, apiKey, transport: "streaming" });
    const path = join(dir, upload.name);
    await writeFile(path, randomBytes(upload.sizeBytes));
    const source = await fileSource(path);
    const file = await provider
      .upload({ ...upload, source }, signal)
      .finally(() => provider.close());
    expect(file.sizeBytes).toBe(upload.sizeBytes);
  });
});
