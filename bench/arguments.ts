import { parseArgs } from "node:util";
import { CodedError, toError } from "../src/base/errors.ts";
import type { Tier } from "./case.ts";
import { benchmarkCases, isMeant } from "./cases.ts";
import { comparedCases, isComparedCase } from "./compare/compare.ts";

/** How the benchmark is called. */
export const USAGE = `Usage: npm run bench -- [options]

  --list            name the cases and stop; with --quick, --full, --case or --also what would run,
                    and about how long it takes
  --case NAME       measure only this case, or this group: upload means upload-… (may be repeated)
  --also NAME       besides the cases of the tier, this one or this group (may be repeated)
  --quick           few samples: to see that everything runs, not to decide anything
  --full            everything, 1 and 5 GiB and slow networks included: takes hours
  --json            print the report, or the list, as JSON instead of a table; with
                    npm run --silent bench, since npm prints lines of its own without
  --seed N          seed of the order within pairs and of the bootstrap (default 1)
  --compare REF     measure this checkout against another git commit, both in one run; its cases are
                    upload, hash, facade and memory
  --self-test       measure the network proxy against what it claims, and stop
  --save-reference  also write bench/results/reference, which is committed
  --help            print this and stop

Results are kept in bench/results/latest.json, latest.md and latest-*.svg.
Exit codes: 0 measured, 1 a case could not be measured, 2 wrong usage, 130 stopped.
`;

/** What was asked for. */
export interface Options {
  readonly help: boolean;
  readonly list: boolean;
  readonly tier: Tier;
  readonly json: boolean;
  readonly cases: readonly string[];
  readonly also: readonly string[];
  readonly seed: number;
  readonly compare: string | null;
  readonly selfTest: boolean;
  readonly saveReference: boolean;
}

/** Reads the command line; throws `BENCH_USAGE` naming what is wrong with it. */
export function readArguments(argv: readonly string[]): Options {
  const values = parse(argv);
  const { quick = false, full = false } = values;
  if (quick && full) throw usageError("--quick and --full exclude each other.");
  const cases = values.case ?? [];
  const also = values.also ?? [];
  const { compare = null } = values;
  refuseUnknown([...cases, ...also], compare !== null);
  const seed = Number(values.seed ?? "1");
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) {
    throw usageError(`--seed takes a whole number from 0 to 4294967295, not "${values.seed}".`);
  }
  if (compare?.startsWith("-") || compare === "") {
    throw usageError(`--compare takes a commit, a branch or a tag, not "${compare}".`);
  }
  const saveReference = values["save-reference"] ?? false;
  if (saveReference && (quick || cases.length > 0)) {
    throw usageError(
      "A reference is a whole run: --save-reference goes without --quick and --case.",
    );
  }
  if (compare !== null && (saveReference || also.length > 0)) {
    throw usageError(
      "--compare goes without --save-reference and --also: it has cases of its own.",
    );
  }
  return {
    help: values.help ?? false,
    list: values.list ?? false,
    tier: quick ? "quick" : full ? "full" : "default",
    json: values.json ?? false,
    cases,
    also,
    seed,
    compare,
    selfTest: values["self-test"] ?? false,
    saveReference,
  };
}

function refuseUnknown(asked: readonly string[], isCompared: boolean): void {
  const names = isCompared ? comparedCases : benchmarkCases.map(({ name }) => name);
  const isKnown = (each: string): boolean =>
    isCompared
      ? comparedCases.some((name) => isComparedCase(name, each))
      : benchmarkCases.some((one) => isMeant(one, each));
  const unknown = asked.filter((each) => !isKnown(each));
  if (unknown.length === 0) return;
  const where = isCompared ? " with --compare" : "";
  throw usageError(
    `There is no case "${unknown.join('", "')}"${where}. Known: ${names.join(", ")}.`,
  );
}

interface Values {
  readonly help?: boolean;
  readonly list?: boolean;
  readonly quick?: boolean;
  readonly full?: boolean;
  readonly json?: boolean;
  readonly case?: string[];
  readonly also?: string[];
  readonly seed?: string;
  readonly compare?: string;
  readonly "self-test"?: boolean;
  readonly "save-reference"?: boolean;
}

function parse(argv: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...argv],
      strict: true,
      options: {
        help: { type: "boolean" },
        list: { type: "boolean" },
        quick: { type: "boolean" },
        full: { type: "boolean" },
        json: { type: "boolean" },
        case: { type: "string", multiple: true },
        also: { type: "string", multiple: true },
        seed: { type: "string" },
        compare: { type: "string" },
        "self-test": { type: "boolean" },
        "save-reference": { type: "boolean" },
      },
    }).values;
  } catch (thrown) {
    throw usageError(`${toError(thrown).message}\n\n${USAGE}`);
  }
}

function usageError(message: string): CodedError {
  return new CodedError("BENCH_USAGE", message, { status: 400 });
}
