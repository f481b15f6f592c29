import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isCodedError } from "../../src/base/errors.ts";
import {
  glmBigmodelProfile,
  glmZaiProfile,
  kimiProfile,
  noneProfile,
  type ProviderProfile,
  profiles,
} from "../../src/files/providers/profiles.ts";
import { checkUpload, type UploadFacts } from "../../src/files/providers/upload-check.ts";

const MiB = 2 ** 20;

const check = (profile: ProviderProfile, upload: Partial<UploadFacts>): string => {
  try {
    checkUpload(profile, {
      provider: profile.provider,
      purpose: profile.defaultPurpose,
      name: "a.pdf",
      mimeType: "application/pdf",
      sizeBytes: 1,
      ...upload,
    });
    return "accepted";
  } catch (error) {
    if (isCodedError(error)) return `${error.code} ${error.status}: ${error.message}`;
    throw error;
  }
};

describe("the check of an upload", () => {
  it.each(profiles)("of $id accepts an ordinary file for its default purpose", (profile) => {
    expect(check(profile, {})).toBe("accepted");
  });

  it.each<[string, ProviderProfile, Partial<UploadFacts>, number]>([
    ["Kimi", kimiProfile, {}, 100 * MiB],
    ["GLM at z.ai", glmZaiProfile, {}, 100 * MiB],
    ["GLM at bigmodel", glmBigmodelProfile, {}, 20 * MiB],
    ["GLM at bigmodel for extracts", glmBigmodelProfile, { purpose: "file-extract" }, 50 * MiB],
    [
      "GLM at bigmodel for images",
      glmBigmodelProfile,
      { name: "a.png", mimeType: "image/png" },
      5 * MiB,
    ],
    ["our own storage", noneProfile, {}, 5 * 2 ** 30],
  ])("of %s ends exactly at its size limit, and names it", (_, profile, upload, limitBytes) => {
    expect(check(profile, { ...upload, sizeBytes: limitBytes })).toBe("accepted");
    const refusal = check(profile, { ...upload, sizeBytes: limitBytes + 1 });
    expect(refusal).toContain("FILES_TOO_LARGE 413");
    expect(refusal).toContain(`${limitBytes + 1} bytes`);
    expect(refusal).toContain(`${limitBytes} bytes`);
  });

  it("refuses empty files where the provider does, and only there", () => {
    const empty = { sizeBytes: 0 };
    expect(check(kimiProfile, empty)).toContain("FILES_EMPTY 400");
    expect(check(glmZaiProfile, empty)).toContain("FILES_EMPTY 400");
    expect(check(glmBigmodelProfile, empty)).toContain("FILES_EMPTY 400");
    expect(check(noneProfile, empty)).toBe("accepted");
  });

  it("refuses types that the provider does not take, and names those that it does", () => {
    const refusal = check(kimiProfile, { name: "a.exe" });
    expect(refusal).toContain("FILES_UNSUPPORTED_TYPE 415");
    expect(refusal).toContain('"a.exe"');
    expect(refusal).toContain(" pdf ");
    expect(check(kimiProfile, { name: "pdf" })).toContain("FILES_UNSUPPORTED_TYPE");
    expect(check(kimiProfile, { name: "A.PDF" })).toBe("accepted");
    expect(check(kimiProfile, { purpose: "batch" })).toContain("FILES_UNSUPPORTED_TYPE");
    expect(check(kimiProfile, { purpose: "batch", name: "a.jsonl" })).toBe("accepted");
    expect(check(noneProfile, { name: "a.exe" })).toBe("accepted");
  });

  it("refuses programs under whatever name, and only for AI providers", () => {
    for (const mimeType of ["application/x-msdownload", "application/x-elf", "application/wasm"]) {
      const refusal = check(kimiProfile, { mimeType });
      expect(refusal).toContain(`FILES_BLOCKED_TYPE 415: The file "a.pdf" is ${mimeType}, which`);
      expect(check(kimiProfile, { mimeType, purpose: "video" })).toContain("FILES_BLOCKED_TYPE");
      expect(check(glmBigmodelProfile, { mimeType })).toContain("provider glm refuses");
      expect(check(noneProfile, { mimeType })).toBe("accepted");
    }
  });

  it("refuses unknown purposes, also names that every object has, and names the known", () => {
    for (const purpose of ["", "Agent", "constructor", "__proto__"]) {
      expect(check(noneProfile, { purpose })).toContain("FILES_UNKNOWN_PURPOSE 400");
    }
    expect(check(kimiProfile, { purpose: "agent" })).toContain("file-extract, image, video, batch");
  });

  it("takes the purposes of the OpenAI API for our own storage", () => {
    const purposes = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];
    for (const purpose of [...purposes, "file-extract", "agent"]) {
      expect(check(noneProfile, { purpose })).toBe("accepted");
    }
  });

  it("refuses an upload that is meant for another provider", () => {
    const refusal = check(kimiProfile, { provider: "dropbox" });
    expect(refusal).toContain('FILES_UNKNOWN_PROVIDER 400: There is no provider "dropbox"');
    expect(refusal).toContain("kimi, glm, none");
  });

  it("never takes more as files grow", () => {
    const size = fc.nat({ max: 200 * MiB });
    fc.assert(
      fc.property(fc.constantFrom(...profiles), size, size, (profile, one, two) => {
        const [small, large] = [Math.min(one, two) + 1, Math.max(one, two) + 1];
        const largeFits = check(profile, { sizeBytes: large }) === "accepted";
        if (largeFits) expect(check(profile, { sizeBytes: small })).toBe("accepted");
      }),
    );
  });
});

describe("profiles", () => {
  it("have ids of their own and a default purpose that exists", () => {
    expect(new Set(profiles.map((profile) => profile.id)).size).toBe(profiles.length);
    for (const profile of profiles) {
      expect(Object.keys(profile.purposes)).toContain(profile.defaultPurpose);
    }
  });
});
