import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { noThroughput } from "../../../src/files/providers/health/throughput.ts";
import {
  glmBigmodelProfile,
  glmZaiProfile,
  kimiProfile,
  noneProfile,
  type ProviderProfile,
} from "../../../src/files/providers/profiles.ts";
import {
  type Candidate,
  type SelectionRequest,
  selectProvider,
} from "../../../src/files/selection/selection.ts";

const MiB = 2 ** 20;

const candidate = (profile: ProviderProfile, more: Partial<Candidate> = {}): Candidate => ({
  profile,
  health: "up",
  healthReason: "",
  quota: null,
  throughput: noThroughput,
  ...more,
});
const everybody = [candidate(noneProfile), candidate(kimiProfile), candidate(glmBigmodelProfile)];
const request = (more: Partial<SelectionRequest> = {}): SelectionRequest => ({
  name: "a.pdf",
  mimeType: "application/pdf",
  sizeBytes: 1000,
  ...more,
});
const questionOf = (length: number): string => "?".repeat(length);
const full = { purpose: null, files: 1000, filesMax: 1000, bytes: 0, bytesMax: null, countedMs: 0 };

describe("the choice of a provider", () => {
  it.each([
    ["a simple question about a small file", 49, 1000, "kimi"],
    ["a moderate question about a medium file", 199, 5 * MiB, "kimi"],
    ["a complex question about a small file", 200, 1000, "glm"],
    ["a complex question about a large file", 300, 15 * MiB, "glm"],
  ])("keeps the predecessor's case: %s", (_what, length, sizeBytes, expected) => {
    const question = questionOf(length);
    expect(selectProvider(request({ question, sizeBytes }), everybody).choice).toBe(expected);
  });

  it("takes the one that was asked for, whatever the question", () => {
    const chosen = selectProvider(
      request({ preference: "kimi", question: questionOf(300) }),
      everybody,
    );
    expect(chosen.choice).toBe("kimi");
    expect(chosen.reasons.at(-1)).toMatchObject({ rule: "preference", result: "chosen" });
  });

  it("passes over the one that was asked for when it cannot take the file, and says so", () => {
    const chosen = selectProvider(request({ preference: "glm", sizeBytes: 21 * MiB }), everybody);
    expect(chosen.choice).toBe("kimi");
    expect(chosen.reasons).toMatchObject([
      {
        provider: "glm",
        rule: "size",
        result: "excluded",
        text: expect.stringContaining("20 MiB"),
      },
      { provider: "glm", rule: "preference", result: "passed-over" },
      { provider: "kimi", rule: "fit", result: "chosen" },
    ]);
  });

  it.each([
    [20 * MiB, "glm"],
    [20 * MiB + 1, "kimi"],
    [100 * MiB, "kimi"],
    [100 * MiB + 1, "none"],
  ])("without a question goes by size: %d bytes", (sizeBytes, expected) => {
    expect(selectProvider(request({ sizeBytes }), everybody).choice).toBe(expected);
  });

  it("never fails over to a provider that cannot take the file", () => {
    const sizeBytes = 50 * MiB;
    const kimiDown = [
      candidate(kimiProfile, { health: "down", healthReason: "HTTP 503" }),
      candidate(glmBigmodelProfile),
    ];
    const chosen = selectProvider(request({ sizeBytes }), kimiDown);
    expect(chosen).toMatchObject({ choice: null, mayChange: true });
    expect(chosen.reasons.map(({ provider, rule }) => [provider, rule])).toEqual([
      ["kimi", "health"],
      ["glm", "size"],
    ]);
  });

  it.each([
    ["down", null],
    ["unauthorised", null],
    ["throttled", "kimi"],
    ["slow", "kimi"],
    ["unknown", "kimi"],
  ] as const)("with only a provider that is %s is %s", (health, expected) => {
    const only = [candidate(kimiProfile, { health, healthReason: "because" })];
    expect(selectProvider(request(), only).choice).toBe(expected);
  });

  it("puts a throttled one back behind another, but not behind no provider at all", () => {
    const strained = candidate(kimiProfile, { health: "throttled", healthReason: "HTTP 429" });
    const question = questionOf(10);
    const withGlm = [candidate(noneProfile), strained, candidate(glmZaiProfile)];
    expect(selectProvider(request({ question }), withGlm)).toMatchObject({
      choice: "glm",
      reasons: [
        { provider: "kimi", rule: "health", result: "put-back" },
        { provider: "kimi", rule: "complexity", result: "passed-over" },
        { provider: "glm", rule: "fit", result: "chosen" },
      ],
    });
    const alone = [candidate(noneProfile), strained];
    expect(selectProvider(request({ question }), alone).choice).toBe("kimi");
    expect(selectProvider(request({ question, preference: "kimi" }), withGlm).choice).toBe("kimi");
  });

  it("excludes one whose quota is used up, by count or by bytes", () => {
    const noRoom = [candidate(kimiProfile, { quota: full }), candidate(glmZaiProfile)];
    const question = questionOf(1);
    expect(selectProvider(request({ question }), noRoom)).toMatchObject({ choice: "glm" });
    const bytes = { ...full, files: 1, bytes: 9_500, bytesMax: 10_000 };
    expect(selectProvider(request(), [candidate(kimiProfile, { quota: bytes })])).toMatchObject({
      choice: null,
      mayChange: true,
      reasons: [{ rule: "quota", text: expect.stringContaining("9500 bytes") }],
    });
  });

  it("passes over one that is expected to time out while another is there", () => {
    const crawling = { bytesPerSecond: 100_000, samples: 5 };
    const slowKimi = candidate(kimiProfile, { throughput: crawling });
    const question = questionOf(10);
    const sizeBytes = 19 * MiB;
    expect(
      selectProvider(request({ question, sizeBytes }), [slowKimi, candidate(glmBigmodelProfile)]),
    ).toMatchObject({ choice: "glm", duration: { isLate: false } });
    expect(selectProvider(request({ question, sizeBytes }), [slowKimi])).toMatchObject({
      choice: "kimi",
      duration: { isLate: true, basis: "measured" },
    });
  });

  it.each([
    [{ name: "a.exe" }, "type"],
    [{ sizeBytes: 0 }, "size"],
    [{ purpose: "world-domination" }, "purpose"],
  ] as const)("says of %j which rule excludes", (more, rule) => {
    const chosen = selectProvider(request(more), [candidate(kimiProfile)]);
    expect(chosen).toMatchObject({ choice: null, mayChange: false, reasons: [{ rule }] });
  });

  it("whatever is asked, chooses nobody that cannot take it, and gives a reason for everything", () => {
    const profile = fc.constantFrom(kimiProfile, glmZaiProfile, glmBigmodelProfile, noneProfile);
    const some = fc.uniqueArray(
      fc.record({
        profile,
        health: fc.constantFrom("up", "slow", "throttled", "unauthorised", "down", "unknown"),
        isFull: fc.boolean(),
      }),
      { selector: (each) => each.profile.provider, maxLength: 3 },
    );
    const asked = fc.record(
      {
        name: fc.constantFrom("a.pdf", "a.exe", "a.jsonl", "a.png", "a"),
        mimeType: fc.constantFrom("application/pdf", "image/png"),
        sizeBytes: fc.integer({ min: 0, max: 200 * MiB }),
        purpose: fc.constantFrom("file-extract", "agent", "batch", "nonsense"),
        preference: fc.constantFrom("kimi", "glm", "none"),
        question: fc.string({ maxLength: 300 }),
      },
      { requiredKeys: ["name", "mimeType", "sizeBytes"] },
    );
    fc.assert(
      fc.property(some, asked, (them, each) => {
        const candidates = them.map(({ profile: of, health, isFull }) =>
          candidate(of, {
            health,
            healthReason: "x",
            quota: isFull ? full : null,
          } as Partial<Candidate>),
        );
        const { choice, reasons } = selectProvider(each as SelectionRequest, candidates);
        const excluded = reasons.filter(({ result }) => result === "excluded");
        expect(excluded.map(({ provider }) => provider)).not.toContain(choice);
        if (choice === null) expect(excluded).toHaveLength(candidates.length);
        else expect(reasons.length).toBeGreaterThan(0);
      }),
    );
  });
});
