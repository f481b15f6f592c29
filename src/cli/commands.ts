import { duplicateChoices } from "../files/file-manager.ts";
import {
  type CommandRow,
  dryRunOption,
  number,
  reasonOption,
  row,
  whole,
} from "./command/command-row.ts";
import { demoRows } from "./commands/demo/rows.ts";
import { evidenceRows } from "./commands/evidence/rows.ts";
import { fleetRows } from "./commands/fleet/rows.ts";
import { rolloutRows } from "./commands/rollout/rows.ts";
import { momentMs, share } from "./context.ts";
import { DEFAULT_FLAGS_FROM, flagsChoices } from "./process/fleet.ts";

/** What the groups of two-word commands are about. */
export const groups: Readonly<Record<string, string>> = {
  mismatches: "Look at, run again and export differences between the paths",
  rollout: "Let the share of calls on the new path grow by itself, stage by stage",
  fleet: "The instances that share a Postgres",
  flags:
    "Show and set the shares of calls on the new path, and keep flag files and Unleash in step",
  sandbox: "Make the running product misbehave on purpose",
};

const pathOption = row("--path <path>", "force a path", { choices: ["legacy", "candidate"] });
const keyOption = row("--key <key>", "routing key: the same key stays on the same path");
const percentagesOption = row("--percentages", "percentages and on or off too, which are live");
const bandwidthOption = row("--bwlimit <bytes>", "bytes in a second, all of them together", {
  ...whole("--bwlimit", 65_536, 999_999_999_999),
});
const purposeOption = row("--purpose <purpose>", "what the file is for");

/** Every command, in the order of `--help`. A command's code is only loaded when it runs. */
export const commands: readonly CommandRow[] = [
  {
    name: "start",
    meaning: "Run the product: embedded backend, gateway, metrics",
    options: [
      row(
        "--flags <source>",
        `where flags come from: an embedded Unleash, or the files of CHANGEOVER_FLAGS_DIR (default: ${DEFAULT_FLAGS_FROM})`,
        { choices: flagsChoices },
      ),
    ],
    examples: [
      "changeover start",
      "changeover start --flags unleash",
      "CHANGEOVER_PORT=0 changeover start --data-dir /tmp/try",
    ],
    load: async () => (await import("./commands/start.ts")).start,
  },
  ...demoRows,
  {
    name: "upload",
    words: "<files...>",
    meaning: "Store files; - reads standard input",
    options: [
      row("--name <name>", "name of the stored file (with - or one file)"),
      row("--provider <provider>", "AI file API that gets a copy: kimi, glm, none, or auto", {
        fallback: "none",
      }),
      row("--question <text>", "what will be asked about the files, for --provider auto"),
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
      bandwidthOption,
      dryRunOption,
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
      bandwidthOption,
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
    options: [dryRunOption, pathOption, keyOption],
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
      dryRunOption,
      bandwidthOption,
      row("--no-providers", "leave AI providers alone, as where other programs share the account"),
    ],
    examples: ["changeover verify", "changeover verify --hash --json", "changeover verify --fix"],
    load: async () => (await import("./commands/upkeep/verify.ts")).verify,
  },
  {
    name: "backfill",
    meaning: "Give objects that were in the bucket before a hash and a row; run again, it goes on",
    options: [
      row("--owner <owner>", "whose files they become", { fallback: "local" }),
      row("--prefix <folder/>", "only objects in this folder of the bucket"),
      purposeOption,
      row("--dry-run", "only count what is without a row"),
      row("--validate-only", "read and hash, and write nothing"),
      row("--concurrency <number>", "objects at once", {
        ...whole("--concurrency", 1, 64),
        fallback: 4,
      }),
      row("--rate <number>", "objects in a second", { ...number("--rate") }),
      row("--bwlimit <bytes>", "bytes in a second, all objects together", {
        ...whole("--bwlimit", 1024, 999_999_999_999),
      }),
      row("--batch-size <number>", "objects that a machine takes from the queue at once", {
        ...whole("--batch-size", 1, 1000),
        fallback: 50,
      }),
      row("--queue", "share the work on Postgres, and fail without one"),
      row("--no-queue", "work alone, also where there is a Postgres to share the work on"),
    ],
    examples: [
      "changeover backfill --dry-run",
      "changeover backfill --prefix user-files/ --owner ana --bwlimit 10000000",
    ],
    load: async () => (await import("./commands/upkeep/backfill.ts")).backfill,
  },
  {
    name: "status",
    meaning: "Show operations, flags, latches and verdicts",
    options: [row("--watch", "again every second, until Ctrl-C; with --json one line each")],
    examples: ["changeover status", "changeover status --watch", "changeover status --json"],
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
    name: "flags diff",
    meaning: "Show in what the flag files and Unleash differ",
    examples: ["changeover flags diff", "changeover flags diff --json"],
    load: async () => (await import("./commands/flags/as-code.ts")).diffFlags,
  },
  {
    name: "flags check",
    meaning: "Fail when the flag files and Unleash differ, for CI",
    options: [percentagesOption],
    examples: ["changeover flags check"],
    load: async () => (await import("./commands/flags/as-code.ts")).checkFlags,
  },
  {
    name: "flags push",
    meaning: "Make Unleash as the flag files say; new flags start at 0 %",
    options: [percentagesOption, dryRunOption],
    examples: ["changeover flags push --dry-run", "changeover flags push"],
    load: async () => (await import("./commands/flags/as-code.ts")).pushFlags,
  },
  {
    name: "flags pull",
    meaning: "Make the flag files as Unleash has the flags",
    options: [percentagesOption, dryRunOption],
    examples: ["changeover flags pull --dry-run", "changeover flags pull --percentages"],
    load: async () => (await import("./commands/flags/as-code.ts")).pullFlags,
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
      row("--module <module>", "what exports the operation's definition", {
        fallback: "./operations.ts",
      }),
      row("--name <export>", "how it is called there (default: as filesInfo for files.info)"),
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
  ...evidenceRows,
  {
    name: "why",
    words: "<operation> <key>",
    meaning: "Explain which path a routing key gets",
    examples: ["changeover why upload customer-7"],
    load: async () => (await import("./commands/history.ts")).why,
  },
  ...rolloutRows,
  ...fleetRows,
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
      row("--unknown-error-rate <share>", "share of calls that throw what was never seen before", {
        parse: (text) => share("--unknown-error-rate", text),
      }),
      row("--mismatch-rate <share>", "share of shadow runs that answer differently", {
        parse: (text) => share("--mismatch-rate", text),
      }),
      row("--leak <bytes>", "bytes that every call takes and keeps", {
        ...whole("--leak", 0, 268_435_456),
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
    name: "bench",
    meaning: "Measure both paths of an operation of yours: time, memory, same results",
    options: [
      row("--module <file>", "TypeScript or JavaScript that exports `operation`"),
      row("--quick", "few samples: to see that it runs"),
      row("--launches <number>", "fresh processes (default: 5)", whole("--launches", 1, 100)),
      row("--pairs <number>", "pairs in each process (default: 40)", whole("--pairs", 3, 10_000)),
      row("--seed <number>", "same seed, same order", whole("--seed", 0, 4_294_967_295)),
      row("--out <folder>", "also write report.json, report.md and report.svg there"),
      row(
        "--max-ratio <number>",
        "fail when the candidate certainly takes longer than so many times",
        {
          ...number("--max-ratio"),
        },
      ),
    ],
    examples: [
      "changeover bench --module ./resize.bench.ts",
      "changeover bench --module ./resize.bench.ts --max-ratio 1.05 --out bench-results",
    ],
    load: async () => (await import("./commands/evidence/bench.ts")).bench,
  },
  {
    name: "init",
    words: "[folder]",
    meaning: "Write the first flag, plan, policy and example of a migration of your own",
    options: [
      row("--migration <name>", "what is moved (default: the folder's name)"),
      row("--operation <name>", "its first operation (default: lookup)"),
      row("--kind <kind>", "what that does (default: read)", { choices: ["read", "write"] }),
    ],
    examples: [
      "changeover init",
      "changeover init images --migration image --operation resize --kind read",
    ],
    load: async () => (await import("./commands/init/init.ts")).init,
  },
  {
    name: "doctor",
    meaning: "Check this machine and its settings, with what to do about each problem",
    examples: ["changeover doctor"],
    load: async () => (await import("./commands/doctor.ts")).doctor,
  },
];
