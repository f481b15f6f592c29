import { describe, expect, it } from "vitest";
import { reportHtml, shareChart } from "../../../src/app/report/html.ts";
import { reportMarkdown } from "../../../src/app/report/markdown.ts";
import { makeReport, percentageIn, type ReportInput } from "../../../src/app/report/report.ts";
import type { SnapshotOperation } from "../../../src/app/snapshot.ts";
import type { JournalEntry } from "../../../src/migration/journal.ts";

const entry = (minute: number, more: Partial<JournalEntry>): JournalEntry => ({
  at: `2026-11-21T03:${String(minute).padStart(2, "0")}:00.000Z`,
  operation: "files.upload",
  kind: "flag",
  actor: { type: "person", name: "ann" },
  from: null,
  to: null,
  why: "as planned",
  evidence: {},
  ...more,
});

const nasty = "</td><script>alert(1)</script>|`x`";
const entries: readonly JournalEntry[] = [
  entry(1, { from: "off 0 %, shadow 0 %", to: "on 10 %, shadow 5 %" }),
  entry(2, { from: "on 10 %, shadow 5 %", to: "on 50 %, shadow 5 %", why: nasty }),
  entry(3, {
    kind: "rollback",
    actor: { type: "rule", name: "error-rate" },
    from: "candidate",
    to: "legacy",
    why: "12 of 80 calls failed",
    evidence: {
      ...{ observed: 0.15, limit: 0.06, samples: 80 },
      steps: [
        { name: "latch", result: "done" },
        { name: "flag", result: "failed" },
      ],
    },
  }),
  entry(4, { operation: "files.list", to: "on 100 %, shadow 0 %" }),
];

const window = { calls: 200, failed: 3, timedOut: 1 };
const now = {
  name: "files.upload",
  kind: "write",
  flag: { enabled: true, percentage: 50 },
  latch: null,
  windows: { legacy: window, candidate: { calls: 0, failed: 0, timedOut: 0 } },
  verdict: { verdict: "healthy", sentence: "All is well." },
  rules: [],
} as unknown as SnapshotOperation;

const mismatch = {
  ...{ id: "0123456789ab", operation: "files.upload", count: 3, requestId: "r" },
  ...{ firstSeen: "2026-11-21T03:01:30Z", lastSeen: "2026-11-21T03:01:40Z" },
  differences: [{ path: "name", kind: "value", legacy: nasty, candidate: "b" }],
};

const input: ReportInput = {
  operation: "files.upload",
  at: "2026-11-21T03:05:00.000Z",
  entries,
  now,
  mismatches: [mismatch],
};

describe("a rollout report", () => {
  it("tells how the share went, and that a rollback made it 0", () => {
    expect(makeReport(input).shares.map(({ percentage }) => percentage)).toEqual([10, 50, 0]);
  });

  it("tells of each rollback its rule, its numbers and what its steps came to", () => {
    expect(makeReport(input).rollbacks).toEqual([
      {
        at: "2026-11-21T03:03:00.000Z",
        by: "rule error-rate",
        why: "12 of 80 calls failed",
        ...{ observed: 0.15, limit: 0.06, samples: 80 },
        steps: ["latch done", "flag failed"],
      },
    ]);
  });

  it("tells nothing of other operations, and who did how much", () => {
    const { timeline, actors, span } = makeReport(input);
    expect(timeline).toHaveLength(3);
    expect(actors).toEqual([
      { actor: "person ann", entries: 2 },
      { actor: "rule error-rate", entries: 1 },
    ]);
    expect(span?.to).toBe("2026-11-21T03:03:00.000Z");
  });

  it("tells things in the order in which they happened, whenever they arrived", () => {
    const { shares, span } = makeReport({ ...input, entries: entries.toReversed() });
    expect(shares.map(({ percentage }) => percentage)).toEqual([10, 50, 0]);
    expect(span).toEqual(makeReport(input).span);
  });

  it("does not let text from outside become markup", () => {
    const report = makeReport(input);
    expect(reportHtml(report)).not.toContain("<script>");
    const markdown = reportMarkdown(report);
    expect(markdown).not.toContain("<script>");
    const line = markdown.split("\n").find((each) => each.includes("alert(1)")) ?? "";
    expect(line.replaceAll(/\\./g, "").split("|")).toHaveLength(8);
  });

  it("is complete and calm when nothing has happened yet", () => {
    const report = makeReport({ ...input, entries: [], mismatches: [] });
    expect(report.span).toBeNull();
    expect(reportMarkdown(report)).toContain("Nothing was rolled back.");
    expect(reportHtml(report)).not.toContain("<svg");
  });

  it("draws the share as steps from the first change to now", () => {
    const chart = shareChart(makeReport(input).shares, input.at);
    expect(chart).toContain('d="M48 156H272V92H496V172H944"');
  });

  it.each([
    ["on 50 %, shadow 20 %", 50],
    ["off 0 %, shadow 20 %", 0],
    ["off 10 %, shadow 0 %", 0],
    ["0.1 %", 0.1],
    ["legacy", null],
    [null, null],
  ])("reads the share in %j as %j", (text, expected) => {
    expect(percentageIn(text)).toBe(expected);
  });
});
