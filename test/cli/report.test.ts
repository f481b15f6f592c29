import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { TestFolder } from "../support/test-folder.ts";
import { changeover, errorOf, type Ran } from "./command-line.ts";

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

interface Report {
  readonly operation: string;
  readonly span: { readonly from: string; readonly to: string } | null;
  readonly file?: string;
}

describe("changeover report", () => {
  const folder = new TestFolder();
  const run = (...words: string[]): Promise<Ran> =>
    changeover([...words, "--data-dir", folder.in("data")]);
  beforeAll(async () => {
    await run("flags", "set", "upload", "10", "--reason", "week 1");
    await run("rollback", "upload", "--reason", "wrong <b>hashes</b>");
  });
  afterAll(() => folder.remove());

  it("tells what happened, who did it and why, as Markdown", async () => {
    const { code, stdout, stderr } = await run("report", "upload");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^# Rollout report: files\.upload$/m);
    expect(stdout).toMatch(/^\| .*10 %.*week 1.*\|$/m);
    // Text from outside stays text.
    expect(stdout).toMatch(/^\| .*wrong &lt;b>hashes&lt;\/b>.*\|$/m);
    expect(stdout).not.toContain("<b>");
  });

  it("tells nothing from before the time that is asked for", async () => {
    const recent = await run("report", "upload", "--since", "2026-01-01", "--json");
    const report = JSON.parse(recent.stdout) as Report;
    expect(report).toMatchObject({ operation: "files.upload" });
    expect(report.span).not.toBeNull();
    const later = await run("report", "upload", "--since", "2999-01-01");
    expect(later.stdout).toContain("Nothing was journalled in that time.");
    expect(later.stdout).not.toContain("week 1");
  });

  it("writes a page to a new file, and never over one that is there", async () => {
    const file = folder.in("upload.html");
    const write = ["report", "upload", "--html", "--output", file, "--json"];
    const written = await run(...write);
    expect(JSON.parse(written.stdout)).toMatchObject({ operation: "files.upload", file });
    const page = readFileSync(file, "utf8");
    expect(page).toMatch(/^<!doctype html>/i);
    expect(page).toContain("week 1");
    expect(page).not.toContain("<b>hashes");
    const again = await run(...write);
    expect([again.code, errorOf(again).code]).toEqual([1, "CLI_FILE_EXISTS"]);
    expect(readFileSync(file, "utf8")).toBe(page);
  });

  it("refuses an operation that does not exist, and a time that is none", async () => {
    const file = folder.in("none.md");
    const unknown = await run("report", "uplaod", "--output", file, "--json");
    expect([unknown.code, errorOf(unknown).code]).toEqual([2, "MIGRATION_UNKNOWN_OPERATION"]);
    expect(existsSync(file)).toBe(false);
    const none = await run("report", "upload", "--since", "yesterday", "--json");
    expect([none.code, errorOf(none).code]).toEqual([2, "CLI_USAGE"]);
  });
});
