import { describe, expect, it } from "vitest";
import { GLM_WIRE } from "../../src/sandbox/provider/glm-wire.ts";
import { KIMI_WIRE } from "../../src/sandbox/provider/kimi-wire.ts";
import { judgeUpload } from "../../src/sandbox/provider/upload-rules.ts";
import { MIB, type ProviderWire } from "../../src/sandbox/provider/wire.ts";

const EMPTY = { filesOfPurpose: 0, filesInAll: 0, bytesInAll: 0 };

function judge(wire: ProviderWire, purpose: string, fileName: string, bytes: number) {
  return judgeUpload(wire, { purpose, file: { fileName, bytes }, ...EMPTY })?.refusal;
}

const LIMITS: readonly [string, ProviderWire, string, string, number][] = [
  ["Kimi file-extract", KIMI_WIRE, "file-extract", "a.pdf", 100],
  ["Kimi batch", KIMI_WIRE, "batch", "a.jsonl", 100],
  ["GLM agent", GLM_WIRE, "agent", "a.pdf", 20],
  ["GLM agent, images", GLM_WIRE, "agent", "a.PNG", 5],
  ["GLM file", GLM_WIRE, "file", "a.pdf", 100],
  ["GLM code-interpreter", GLM_WIRE, "code-interpreter", "a.csv", 20],
  ["GLM file-extract", GLM_WIRE, "file-extract", "a.docx", 50],
  ["GLM file-extract, images", GLM_WIRE, "file-extract", "a.jpeg", 5],
  ["GLM batch", GLM_WIRE, "batch", "a.jsonl", 100],
];

describe("the rules for uploads", () => {
  it.each(LIMITS)("hold the size limit of %s", (_what, wire, purpose, name, mib) => {
    expect(judge(wire, purpose, name, mib * MIB)).toBeUndefined();
    expect(judge(wire, purpose, name, mib * MIB + 1)).toBe("too-large");
    expect(judge(wire, purpose, name, 0)).toBe("empty-file");
  });

  it.each([
    [KIMI_WIRE, "file-extract", "a.exe"],
    [KIMI_WIRE, "file-extract", "no-extension"],
    [GLM_WIRE, "batch", "a.txt"],
    [GLM_WIRE, "voice-clone-input", "a.pdf"],
  ])("hold the list of types", (wire, purpose, name) => {
    expect(judge(wire, purpose, name, 1)).toBe("bad-type");
  });

  it("do not take a name of every object for a purpose", () => {
    expect(judge(KIMI_WIRE, "constructor", "a.txt", 1)).toBe("bad-purpose");
  });

  it("hold the number of files and their size in all", () => {
    const file = { fileName: "a.txt", bytes: 1 };
    const upload = { purpose: "file-extract", file, ...EMPTY };
    const full = judgeUpload(KIMI_WIRE, { ...upload, filesInAll: 1000 });
    expect(full?.refusal).toBe("too-many-files");
    expect(KIMI_WIRE.refuse("too-many-files", full?.facts ?? {}).body).toEqual({
      error: {
        type: "invalid_request_error",
        message:
          "The number of files you have uploaded exceeded the max file count 1000, please delete previous uploaded files",
      },
    });
    expect(judgeUpload(KIMI_WIRE, { ...upload, bytesInAll: 10 * 1024 * MIB })?.refusal).toBe(
      "quota-spent",
    );
  });

  it("ask for a file and a purpose", () => {
    expect(judgeUpload(GLM_WIRE, { purpose: "batch", file: undefined, ...EMPTY })?.refusal).toBe(
      "no-file",
    );
    const file = { fileName: "a.txt", bytes: 1 };
    expect(judgeUpload(GLM_WIRE, { purpose: undefined, file, ...EMPTY })?.refusal).toBe(
      "no-purpose",
    );
  });

  it.each([429, 500, 503, 418])(
    "have a body in the provider's form for a fault of %i",
    (status) => {
      expect(KIMI_WIRE.fault(status)).toMatchObject({
        status,
        body: { error: { type: expect.any(String), message: expect.any(String) } },
      });
      expect(GLM_WIRE.fault(status)).toMatchObject({
        status,
        body: { error: { code: expect.stringMatching(/^\d+$/), message: expect.any(String) } },
      });
    },
  );
});
