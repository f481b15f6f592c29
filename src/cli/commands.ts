import { duplicateChoices } from "../files/file-manager.ts";
import { type Command, positiveNumber, share, usage, wholeNumber } from "./context.ts";

/** One option of a command. */
export interface OptionRow {
  /** As commander reads it: `-o, --output <file>`. */
  readonly flags: string;
  readonly meaning: string;
  readonly fallback?: string | number;
  readonly choices?: readonly string[];
  /** Turns what was typed into what the command reads. Throws `CLI_USAGE`. */
  readonly parse?: (text: string) => unknown;
}

/** One command as it is typed, explained and loaded. */
export interface CommandRow {
  /** One word, or two for a group: `flags set`. */
  readonly name: string;
  /** As commander reads them: `<operation> [percentage]`. */
  readonly words?: string;
  readonly meaning: string;
  readonly options?: readonly OptionRow[];
  /** Complete lines that can be typed. */
  readonly examples: readonly string[];
  /** Runs when its group is named alone. */
  readonly byDefault?: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: every command has options of its own; its row declares them
  readonly load: () => Promise<Command<any>>;
}

/** What the groups of two-word commands are about. */
export const groups: Readonly<Record<string, string>> = {
  mismatches: "Look at, run again and export differences between the paths",
  flags: "Show and set the shares of calls on the new path",
  sandbox: "Make the running product misbehave on purpose",
};

const row = (flags: string, meaning: string, more: Partial<OptionRow> = {}): OptionRow => ({
  flags,
  meaning,
  ...more,
});

const whole = (what: string, min: number, max: number): Partial<OptionRow> => ({
  parse: (text) => wholeNumber(what, text, min, max),
});

const number = (what: string): Partial<OptionRow> => ({
  parse: (text) => positiveNumber(what, text),
});

const pathOption = row("--path <path>", "force a path", { choices: ["legacy", "candidate"] });
const keyOption = row("--key <key>", "routing key: the same key stays on the same path");
const reasonOption = row("--reason <text>", "why, for the journal");
const purposeOption = row("--purpose <purpose>", "what the file is for");

/** Every command, in the order of `--help`. A command's code is only loaded when it runs. */
export const commands: readonly CommandRow[] = [
  {
    name: "start",
    meaning: "Run the product: embedded backend, gateway, metrics",
    options: [
      row("--flags <source>", "where flags come from: the files of CHANGEOVER_FLAGS_DIR", {
        choices: ["file"],
        fallback: "file",
      }),
    ],
    examples: ["changeover start", "CHANGEOVER_PORT=0 changeover start --data-dir /tmp/try"],
    load: async () => (await import("./commands/start.ts")).start,
  },
  {
    name: "upload",
    words: "<files...>",
    meaning: "Store files; - reads standard input",
    options: [
      row("--name <name>", "name of the stored file (with - or one file)"),
      row("--provider <provider>", "AI file API that gets a copy: kimi, glm or none", {
        fallback: "none",
      }),
      purposeOption,
      pathOption,
      keyOption,
      row("--concurrency <number>", "files sent at once", {
        ...whole("--concurrency", 1, 64),
        fallback: 4,
      }),
      row("-r, --recursive", "take all files of folders"),
      row("--resume", "go on where an upload of the same large files was interrupted"),
      row("--on-duplicate <choice>", "what to do with bytes that are stored already", {
        choices: duplicateChoices,
        fallback: "force",
      }),
    ],
    examples: [
      "changeover upload report.pdf",
      "changeover upload *.png --path candidate --concurrency 8",
      "changeover upload --resume backup.tar",
      "changeover upload docs --recursive --provider kimi",
      "cat backup.tar | changeover upload - --name backup.tar",
    ],
    load: async () => (await import("./commands/upload.ts")).upload,
  },
  {
    name: "download",
    words: "<id>",
    meaning: "Fetch a file, checked against its SHA-256",
    options: [
      row("-o, --output <file>", "where to put it; - is standard output (default: its own name)"),
      row("--force", "overwrite, and send binary content to a terminal"),
      pathOption,
      keyOption,
    ],
    examples: [
      "changeover download 0b8f7c1e-5a35-4c7e-9d57-0a6f2f1c9e10",
      "changeover download 0b8f7c1e-5a35-4c7e-9d57-0a6f2f1c9e10 -o - | sha256sum",
    ],
    load: async () => (await import("./commands/download.ts")).download,
  },
  {
    name: "ls",
    meaning: "List files, newest first",
    options: [
      row("--limit <number>", "files at most", {
        ...whole("--limit", 1, 1000),
        fallback: 20,
      }),
      row("--after <id>", "go on after this file"),
      purposeOption,
      row("--all", "every file, up to 100000"),
      pathOption,
      keyOption,
    ],
    examples: ["changeover ls", "changeover ls --all --json"],
    load: async () => (await import("./commands/listing.ts")).list,
  },
  {
    name: "rm",
    words: "<ids...>",
    meaning: "Delete files",
    options: [pathOption, keyOption],
    examples: ["changeover rm 0b8f7c1e-5a35-4c7e-9d57-0a6f2f1c9e10"],
    load: async () => (await import("./commands/listing.ts")).remove,
  },
  {
    name: "verify",
    meaning: "Compare rows, stored bytes and provider files, and remove what is left over",
    options: [
      row("--hash", "read all stored bytes and compare their SHA-256"),
      row("--fix", "remove what nobody needs: bytes and provider files without a row"),
      row("--grace <minutes>", "what is younger may belong to an upload that runs", {
        ...whole("--grace", 0, 525_600),
        fallback: 1440,
      }),
      row("--no-providers", "leave AI providers alone, as where other programs share the account"),
    ],
    examples: ["changeover verify", "changeover verify --hash --json", "changeover verify --fix"],
    load: async () => (await import("./commands/verify.ts")).verify,
  },
  {
    name: "status",
    meaning: "Show operations, flags, latches and verdicts",
    examples: ["changeover status", "changeover status --json"],
    load: async () => (await import("./commands/status.ts")).status,
  },
  {
    name: "flags show",
    meaning: "Show every flag and where its value comes from",
    examples: ["changeover flags show"],
    load: async () => (await import("./commands/flags.ts")).showFlags,
  },
  {
    name: "flags set",
    words: "<operation> [percentage]",
    meaning: "Set the share of calls on the new path, in percent",
    options: [
      row("--shadow <percentage>", "share of calls that the other path repeats in the shadow", {
        ...whole("--shadow", 0, 100),
      }),
      reasonOption,
    ],
    examples: ["changeover flags set upload 50", "changeover flags set download 0 --shadow 10"],
    load: async () => (await import("./commands/flags.ts")).setFlag,
  },
  {
    name: "mismatches ls",
    meaning: "List differences between the paths that were seen in the shadow",
    byDefault: true,
    examples: ["changeover mismatches", "changeover mismatches ls --json"],
    load: async () => (await import("./commands/evidence/mismatches.ts")).listMismatches,
  },
  {
    name: "mismatches show",
    words: "<id>",
    meaning: "Show a mismatch with everything that was kept of it",
    examples: ["changeover mismatches show 4f2a"],
    load: async () => (await import("./commands/evidence/mismatches.ts")).showMismatch,
  },
  {
    name: "mismatches replay",
    words: "<id>",
    meaning: "Run a mismatch again on both paths; fails while they still differ",
    examples: ["changeover mismatches replay 4f2a"],
    load: async () => (await import("./commands/evidence/mismatches.ts")).replayMismatch,
  },
  {
    name: "mismatches export",
    words: "<id>",
    meaning: "Write a mismatch as a test that fails while it is there",
    options: [
      row("--vitest", "as a vitest file (the only form there is)"),
      row("-o, --output <file>", "where to write it (default: standard output)"),
    ],
    examples: ["changeover mismatches export 4f2a --vitest -o mismatch.test.ts"],
    load: async () => (await import("./commands/evidence/mismatches.ts")).exportMismatch,
  },
  {
    name: "journal",
    meaning: "Show what was changed, by whom and why",
    options: [
      row("--operation <operation>", "only this operation"),
      row("--since <time>", "only since then, as in 2026-11-21 or 2026-11-21T09:00:00Z", {
        parse: momentMs,
      }),
      row("--limit <number>", "entries at most", { ...whole("--limit", 1, 1000), fallback: 50 }),
    ],
    examples: ["changeover journal", "changeover journal --operation upload --limit 5"],
    load: async () => (await import("./commands/history.ts")).journal,
  },
  {
    name: "why",
    words: "<operation> <key>",
    meaning: "Explain which path a routing key gets",
    examples: ["changeover why upload customer-7"],
    load: async () => (await import("./commands/history.ts")).why,
  },
  {
    name: "rollback",
    words: "[operation]",
    meaning: "Bring every call of an operation back to legacy, at once",
    options: [row("--all", "every operation"), reasonOption],
    examples: ['changeover rollback upload --reason "wrong hashes"', "changeover rollback --all"],
    load: async () => (await import("./commands/rollback.ts")).rollBack,
  },
  {
    name: "rearm",
    words: "<operation>",
    meaning: "Clear the latch after a rollback; the share stays at 0 until it is set",
    options: [reasonOption],
    examples: ['changeover rearm upload --reason "fixed in 1.4.2"'],
    load: async () => (await import("./commands/rollback.ts")).rearm,
  },
  {
    name: "sandbox fault",
    words: "<path>",
    meaning: "Make a path of the running product fail or wait, to watch a rollback",
    options: [
      row("--error-rate <share>", "share of calls that fail, from 0 to 1", {
        parse: (text) => share("--error-rate", text),
      }),
      row("--latency <ms>", "milliseconds that every call is held back", {
        ...whole("--latency", 0, 60_000),
      }),
      row("--off", "end the fault"),
    ],
    examples: [
      "changeover sandbox fault candidate --error-rate 0.5",
      "changeover sandbox fault candidate --off",
    ],
    load: async () => (await import("./commands/sandbox.ts")).setFault,
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
      row("--share <percentage>", "calls on the candidate", { ...number("--share") }),
      row("--calls-per-second <number>", "calls on both paths", {
        ...number("--calls-per-second"),
      }),
      row("--days <number>", "days over which false trips are counted", { ...number("--days") }),
      row("--runs <number>", "how often something goes wrong", { ...whole("--runs", 1, 10_000) }),
      row("--seed <number>", "same seed, same numbers", { ...whole("--seed", 0, 4_294_967_295) }),
      row("--legacy-error-rate <share>", "share of legacy's calls that fail", {
        parse: (text) => share("--legacy-error-rate", text),
      }),
      row(
        "--candidate-error-rate <share>",
        "share of the candidate's that fail, in partial-failure",
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
    load: async () => (await import("./commands/evidence/simulate.ts")).simulate,
  },
  {
    name: "doctor",
    meaning: "Check this machine and its settings, with what to do about each problem",
    examples: ["changeover doctor"],
    load: async () => (await import("./commands/doctor.ts")).doctor,
  },
];

function momentMs(text: string): number {
  const ms = Date.parse(text);
  if (/^\d{4}-\d{2}-\d{2}/.test(text) && !Number.isNaN(ms)) return ms;
  throw usage(
    `${JSON.stringify(text.slice(0, 40))} is not accepted for --since. Use a time like 2026-11-21 or 2026-11-21T09:00:00Z.`,
  );
}
