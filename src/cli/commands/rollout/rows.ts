import { type CommandRow, dryRunOption, reasonOption, row } from "../../command/command-row.ts";

const options = [reasonOption, dryRunOption];
const words = "<operation>";

/** The commands of `changeover rollout`, in the order of `--help`. */
export const rolloutRows: readonly CommandRow[] = [
  {
    name: "rollout status",
    words: "[operation]",
    byDefault: true,
    meaning: "Show where every rollout stands, and what it waits for",
    options: [row("--watch", "again every second, until Ctrl-C; with --json one line each")],
    examples: ["changeover rollout", "changeover rollout status upload --watch"],
    load: async () => (await import("./rollout.ts")).rolloutStatus,
  },
  {
    name: "rollout start",
    words,
    meaning: "Switch an operation's flag on at 0 %, and let its rollout walk",
    options,
    examples: ["changeover rollout start info", "changeover rollout start upload --dry-run"],
    load: async () => (await import("./rollout.ts")).startRollout,
  },
  {
    name: "rollout pause",
    words,
    meaning: "Stop a rollout where it stands",
    options,
    examples: ['changeover rollout pause upload --reason "release freeze"'],
    load: async () => (await import("./rollout.ts")).pauseRollout,
  },
  {
    name: "rollout resume",
    words,
    meaning: "Let a rollout go on that was paused, or held since the flag was changed by hand",
    options,
    examples: ["changeover rollout resume upload"],
    load: async () => (await import("./rollout.ts")).resumeRollout,
  },
  {
    name: "rollout approve",
    words,
    meaning: "Approve the present stage, where the plan asks for it",
    options,
    examples: ['changeover rollout approve upload --reason "looked at the mismatches"'],
    load: async () => (await import("./rollout.ts")).approveRollout,
  },
  {
    name: "rollout advance",
    words,
    meaning: "Skip what is left of the present stage's time and samples, and no other gate",
    options,
    examples: ["changeover rollout advance info"],
    load: async () => (await import("./rollout.ts")).advanceRollout,
  },
  {
    name: "rollout abort",
    words,
    meaning: "End a rollout and set the share to 0; without a latch, unlike a rollback",
    options,
    examples: ['changeover rollout abort upload --reason "not this month"'],
    load: async () => (await import("./rollout.ts")).abortRollout,
  },
];
