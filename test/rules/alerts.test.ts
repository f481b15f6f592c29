import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { commands } from "../../src/cli/commands.ts";
import { rulesOf } from "../metrics/promql.ts";
import { hasTool, runTool } from "../support/prometheus-tools.ts";

const root = new URL("../../", import.meta.url);
const pathOf = (name: string): string => fileURLToPath(new URL(name, root));
const textOf = (name: string): string => readFileSync(new URL(name, root), "utf8");
const rulesPath = "grafana/alerts/changeover.rules.yaml";
const alerts = rulesOf(textOf(rulesPath)).filter(({ kind }) => kind === "alert");
const testFiles = ["changeover.rules.test.yaml", "changeover.fleet.test.yaml"];

/** What is wrong with a command as it is typed, without `npx changeover`. */
function problemsOf(line: string): string[] {
  const words = line.match(/"[^"]*"|\S+/g) ?? [];
  const row = commands
    .filter(({ name, byDefault }) => {
      const typed = words.join(" ");
      return `${typed} `.startsWith(`${name} `) || (byDefault && name.split(" ")[0] === typed);
    })
    .sort((a, b) => b.name.length - a.name.length)[0];
  if (row === undefined) return [`no command: ${line}`];
  const known = (row.options ?? []).flatMap(({ flags }) => flags.split(/[ ,]+/));
  return words
    .filter((word) => word.startsWith("-") && !known.includes(word))
    .map((word) => `${row.name} has no ${word}`);
}

describe("the check of commands itself", () => {
  it("finds what does not exist", () => {
    expect(problemsOf("explode now")).toEqual(["no command: explode now"]);
    expect(problemsOf("rollback upload --loudly")).toEqual(["rollback has no --loudly"]);
    expect(problemsOf('rollback upload --reason "a --b"')).toEqual([]);
    expect(problemsOf("mismatches")).toEqual([]);
  });
});

describe.each(alerts)("the alert $name", ({ name, annotations }) => {
  const page = `grafana/runbooks/${name}.md`;

  it("says how bad it is, in words, and where its runbook is", () => {
    expect(["page", "warn"]).toContain(annotations["severity"]);
    expect(annotations["summary"]).toMatch(/\.$/);
    expect(annotations["description"]).toBeTruthy();
    expect(annotations["runbook_url"]).toBe(page);
    expect(existsSync(pathOf(page))).toBe(true);
  });

  it("has a runbook with meaning, three commands that exist, and when to wake whom", () => {
    const text = textOf(page);
    expect(text.startsWith(`# ${name}\n`)).toBe(true);
    const titles = [...text.matchAll(/^## (.+)$/gm)].map((match) => match[1]);
    expect(titles).toEqual(["What it means", "Three commands", "When to wake whom"]);
    const lines = [...text.matchAll(/^npx changeover (.+)$/gm)].map((match) => match[1] ?? "");
    expect(lines).toHaveLength(3);
    expect(lines.flatMap(problemsOf)).toEqual([]);
  });

  it("is tested", () => {
    const tests = testFiles.map((file) => textOf(`grafana/alerts/${file}`)).join("\n");
    expect(tests).toContain(name);
  });
});

describe("alerts together", () => {
  it("ask for a rollback in one case only, and every runbook belongs to an alert", () => {
    const asking = alerts.filter(({ annotations }) => annotations["action"] === "rollback");
    expect(asking.map(({ name }) => name)).toEqual(["ChangeoverCandidateWorse"]);
    const pages = readdirSync(pathOf("grafana/runbooks")).sort();
    expect(pages).toEqual(alerts.map(({ name }) => `${name}.md`).sort());
  });

  it("and what they lead to are in the tarball", () => {
    const { files } = JSON.parse(textOf("package.json")) as { files: string[] };
    for (const each of [
      "grafana/alerts",
      "grafana/alertmanager.example.yaml",
      "grafana/dashboards",
      "grafana/provisioning",
      "grafana/runbooks",
    ]) {
      expect(files).toContain(each);
      expect(existsSync(pathOf(each))).toBe(true);
    }
  });
});

describe.skipIf(!hasTool("promtool"))("promtool (skipped where it is not installed)", () => {
  it("accepts the rules", () => {
    const { status, output } = runTool("promtool", [
      "check",
      "rules",
      "--lint=all",
      pathOf(rulesPath),
    ]);
    expect(status, output).toBe(0);
  });

  it.each(testFiles)("sees the rules fire, and stay silent, as %s says", (file) => {
    const { status, output } = runTool("promtool", [
      "test",
      "rules",
      pathOf(`grafana/alerts/${file}`),
    ]);
    expect(status, output).toBe(0);
  });
});

describe.skipIf(!hasTool("amtool"))("amtool (skipped where it is not installed)", () => {
  const config = pathOf("grafana/alertmanager.example.yaml");
  const route = (...labels: string[]) =>
    runTool("amtool", ["config", "routes", "test", `--config.file=${config}`, ...labels]);

  it("accepts the example of an Alertmanager", () => {
    const { status, output } = runTool("amtool", ["check-config", config]);
    expect(status, output).toBe(0);
  });

  it.each([
    ["changeover-rollback,people", ["action=rollback", "severity=page"]],
    ["people", ["severity=page"]],
    ["office-hours", ["severity=warn"]],
  ])("sends to %s what has the labels %s", (receivers, labels) => {
    expect(route(`--verify.receivers=${receivers}`, ...labels).status).toBe(0);
    expect(route("--verify.receivers=changeover-rollback", "severity=page").status).toBe(1);
  });
});
