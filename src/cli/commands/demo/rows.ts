import { type CommandRow, row, whole } from "../../command/command-row.ts";
import { flagsChoices } from "../../process/fleet.ts";

/** The command that shows everything once, by itself. */
export const demoRows: readonly CommandRow[] = [
  {
    name: "demo",
    meaning: "Watch a rollout walk, break and roll itself back, in four minutes, on a copy",
    options: [
      row("--flags <source>", "where flags come from (default: as with start); file is faster", {
        choices: flagsChoices,
      }),
      row("-o, --output <file>", "where to write the report (default: a temporary file)"),
      row(
        "--pictures <folder>",
        "also put pictures of the console there, and what each shows as JSON (needs Chromium)",
      ),
      row("--pause", "wait for Enter before each step"),
      row("--break-at <percentage>", "share at which the candidate breaks (default: the last)", {
        ...whole("--break-at", 1, 100),
      }),
      row("--hold <seconds>", "how long each stage is held at most", {
        ...whole("--hold", 0, 60),
        fallback: 4,
      }),
    ],
    examples: [
      "changeover demo",
      "changeover demo --flags file --output demo-report.html",
      "changeover demo --pictures demo-pictures",
    ],
    load: async () => (await import("./demo.ts")).demo,
  },
];
