import { type CommandRow, number, row, whole } from "../../command/command-row.ts";
import { momentMs, share } from "../../context.ts";

/** Commands that show and make evidence: reports, drills, simulations. */
export const evidenceRows: readonly CommandRow[] = [
  {
    name: "report",
    words: "<operation>",
    meaning: "Tell the story of a rollout: shares, verdicts, rollbacks, differences, who did what",
    options: [
      row("--html", "one HTML page with a chart instead of Markdown"),
      row("-o, --output <file>", "write it to a new file"),
      row("--since <time>", "only since then, as in 2026-11-21 or 2026-11-21T09:00:00Z", {
        parse: momentMs,
      }),
    ],
    examples: [
      "changeover report upload",
      "changeover report upload --html --output upload-rollout.html",
    ],
    load: async () => (await import("./report.ts")).report,
  },
  {
    name: "ready",
    words: "<operation>",
    meaning: "Say whether the legacy path may be deleted, with reasons; fails while it may not",
    options: [
      row("--days <number>", "days at 100 %, without fallback or rollback (default: 14)", {
        ...number("--days"),
      }),
      row("--calls <number>", "calls on the new path at least (default: 10000)", {
        ...whole("--calls", 1, 999_999_999_999),
      }),
      row(
        "--mismatch-rate <share>",
        "share of answers that may differ, below which the 95 % bound must be (default: 0.001)",
        { ...number("--mismatch-rate") },
      ),
      row("--drill-days <number>", "days that a passed drill stays good (default: 90)", {
        ...number("--drill-days"),
      }),
    ],
    examples: ["changeover ready upload", "changeover ready upload --days 30 --json"],
    load: async () => (await import("./ready.ts")).ready,
  },
  {
    name: "drill",
    meaning:
      "Make the new path fail on purpose, each way in turn, and prove that it is rolled back",
    options: [
      row("--operation <name>", "which operation", { fallback: "list" }),
      row("--fault <names...>", "which ways (default: all)", {
        choices: ["errors", "timeouts", "latency", "unknown-exception", "mismatch", "memory"],
      }),
      row("--force", "also in production, under live traffic, and with more than 1 GiB of memory"),
    ],
    examples: ["changeover drill", "changeover drill --operation upload --fault errors --json"],
    load: async () => (await import("./drill.ts")).drill,
  },
  {
    name: "simulate",
    meaning: "Play failures against the guard's policy, beside other kinds of judges",
    options: [
      row("--policy <file>", "policy to try (default: the built-in one)"),
      row("--diff <file>", "another policy, compared with the first"),
      row("--scenario <names...>", "which scenarios (default: all)"),
      row("--events <file>", "recorded observations (NDJSON) instead of scenarios"),
      row("--operation <name>", "which of the recorded operations"),
      row("--onset <time>", "when the recorded candidate became worse, as in 2026-11-21T14:03:12Z"),
      row("--share <percentage>", "calls on the candidate (default: 1)", { ...number("--share") }),
      row("--calls-per-second <number>", "calls on both paths (default: 100)", {
        ...number("--calls-per-second"),
      }),
      row("--days <number>", "days over which false trips are counted (default: 1)", {
        ...number("--days"),
      }),
      row("--runs <number>", "how often something goes wrong (default: 100)", {
        ...whole("--runs", 1, 10_000),
      }),
      row("--seed <number>", "same seed, same numbers (default: 1)", {
        ...whole("--seed", 0, 4_294_967_295),
      }),
      row("--legacy-error-rate <share>", "share of legacy's calls that fail (default: 0.01)", {
        parse: (text) => share("--legacy-error-rate", text),
      }),
      row(
        "--candidate-error-rate <share>",
        "share of the candidate's that fail, in partial-failure (default: 0.11)",
        {
          parse: (text) => share("--candidate-error-rate", text),
        },
      ),
      row("--fallback", "legacy answers what the candidate failed, as for reads"),
      row("--no-rivals", "play our policy only"),
      row("--markdown", "print Markdown tables"),
      row("--chart <file>", "write an SVG chart"),
    ],
    examples: [
      "changeover simulate --scenario total-failure healthy --share 1",
      "changeover simulate --policy guard.json --diff other.json --chart guard.svg",
    ],
    load: async () => (await import("./simulate.ts")).simulate,
  },
];
