import { createHmac } from "node:crypto";
import * as v from "valibot";
import type { Path } from "../../migration/call.ts";
import type { AnyOperation } from "../../migration/operation.ts";
import type { Outcome } from "../../migration/outcome.ts";
import { outcomeFacts } from "../comparison.ts";
import { type Difference, type DifferenceKind, differenceKinds } from "../difference.ts";
import { fieldOf } from "../noise.ts";
import { maskedJson } from "../redaction.ts";
import type { ShadowResult } from "../shadow.ts";

/** What one path did, without its output. */
export interface OutcomeFacts {
  /** Kind of outcome, and class and code of its error; never a message. */
  readonly what: string;
  readonly durationMs: number;
  /** Of a stream's body. */
  readonly bytes: number;
  /** SHA-256 of a stream's body in hex. */
  readonly digest: string | null;
}

/** One shape of difference, however often it was seen. A plain object, ready for JSON. */
export interface Mismatch {
  /** Twelve hex characters that name this shape: the same in every process. */
  readonly id: string;
  readonly operation: string;
  /** How often. */
  readonly count: number;
  /** ISO 8601. */
  readonly firstSeen: string;
  readonly lastSeen: string;
  /** The path that answered the caller of the newest one. */
  readonly served: Path;
  /** Of the newest one. */
  readonly requestId: string;
  /** The newest one's routing key, hashed with the log's salt. */
  readonly keyHash: string;
  readonly kinds: readonly DifferenceKind[];
  /** Where the newest one differs; values are shortened and masked. */
  readonly differences: readonly Difference[];
  /** There are more differences than are listed. */
  readonly truncated: boolean;
}

/** A mismatch with all that is needed to understand it, and where possible to run it again. */
export interface MismatchCase extends Mismatch {
  /** Of this form. */
  readonly version: 1;
  readonly legacy: OutcomeFacts;
  readonly candidate: OutcomeFacts;
  /** Fields that differed too and were left out as noise. */
  readonly noise: readonly string[];
  /** The newest one's input as the operation recorded it; null when there is none, see `inputNote`. */
  readonly input: unknown;
  /** Why there is no input; null when there is one. */
  readonly inputNote: string | null;
}

/** Characters of a recorded input's JSON at most. */
const INPUT_MAX = 16 * 1024;

/** A case of one result; null when its comparison found no difference. */
export function caseOf(result: ShadowResult, keyHash: string): MismatchCase | null {
  const { comparison, operation, served, shadow } = result;
  if (comparison?.kind !== "different" || shadow === null) return null;
  const { differences, truncated } = comparison;
  const seen = new Date(result.atMs).toISOString();
  const [legacy, candidate] = served.path === "legacy" ? [served, shadow] : [shadow, served];
  return {
    version: 1,
    id: shapeOf(operation.name, differences),
    operation: operation.name,
    count: 1,
    firstSeen: seen,
    lastSeen: seen,
    served: served.path,
    requestId: result.requestId.slice(0, 100),
    keyHash,
    kinds: [...new Set(differences.map((each) => each.kind))].sort(),
    differences,
    truncated,
    legacy: factsOf(legacy),
    candidate: factsOf(candidate),
    noise: result.noise,
    ...recordedInput(operation, result.input),
  };
}

/** The case of both: counts are added, everything else is the later one's. */
export function merged(a: MismatchCase, b: MismatchCase): MismatchCase {
  const [earlier, later] = a.lastSeen > b.lastSeen ? [b, a] : [a, b];
  const firstSeen = a.firstSeen < b.firstSeen ? a.firstSeen : b.firstSeen;
  // An input that can be replayed is worth more than a newer case without one.
  const { input, inputNote } = later.inputNote === null ? later : earlier;
  return { ...later, firstSeen, count: a.count + b.count, input, inputNote };
}

const factsSchema = v.object({
  what: v.string(),
  durationMs: v.number(),
  bytes: v.number(),
  digest: v.nullable(v.string()),
});

const caseSchema: v.GenericSchema<unknown, MismatchCase> = v.object({
  version: v.literal(1),
  id: v.pipe(v.string(), v.regex(/^[0-9a-f]{12}$/)),
  operation: v.string(),
  count: v.pipe(v.number(), v.integer(), v.minValue(1)),
  firstSeen: v.pipe(v.string(), v.isoTimestamp()),
  lastSeen: v.pipe(v.string(), v.isoTimestamp()),
  served: v.picklist(["legacy", "candidate"]),
  requestId: v.string(),
  keyHash: v.string(),
  kinds: v.array(v.picklist(differenceKinds)),
  differences: v.array(
    v.object({
      path: v.string(),
      kind: v.picklist(differenceKinds),
      legacy: v.string(),
      candidate: v.string(),
    }),
  ),
  truncated: v.boolean(),
  legacy: factsSchema,
  candidate: factsSchema,
  noise: v.array(v.string()),
  input: v.unknown(),
  inputNote: v.nullable(v.string()),
});

/** A case out of what was kept; null when it is none, or of another form. */
export function readCase(kept: unknown): MismatchCase | null {
  const parsed = v.safeParse(caseSchema, kept);
  return parsed.success ? parsed.output : null;
}

/** Which fields differ how, whatever the values and whichever item of a list. */
function shapeOf(operation: string, differences: readonly Difference[]): string {
  const places = differences.map(({ path, kind }) => `${fieldOf(path)} ${kind}`);
  const shape = [operation, ...[...new Set(places)].sort()].join("\n");
  return createHmac("sha256", "mismatch").update(shape).digest("hex").slice(0, 12);
}

function factsOf(outcome: Outcome): OutcomeFacts {
  const { durationMs, bytes } = outcome;
  const digest = outcome.kind === "succeeded" ? outcome.digest : null;
  return { what: outcomeFacts(outcome), durationMs, bytes, digest };
}

function recordedInput(
  { name, definition }: AnyOperation,
  input: unknown,
): Pick<MismatchCase, "input" | "inputNote"> {
  const without = (inputNote: string): Pick<MismatchCase, "input" | "inputNote"> => ({
    input: null,
    inputNote,
  });
  if (definition.recordInput === undefined) return without(`${name} declares no recordInput`);
  try {
    const text = maskedJson(definition.recordInput(input));
    if (text.length <= INPUT_MAX) return { input: JSON.parse(text), inputNote: null };
    return without(`its recorded input has ${text.length} characters of at most ${INPUT_MAX}`);
  } catch {
    return without("recordInput threw, or answered what is no JSON");
  }
}
