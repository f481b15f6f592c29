import * as v from "valibot";
import { duplicateChoices, type OnDuplicate } from "../../files/file-manager.ts";
import { invalidRequest } from "../errors.ts";

/** What the fields of an upload say beside the file. */
export interface UploadFields {
  readonly purpose: string | null;
  readonly provider: string | null;
  /** What will be asked about the file, for `provider=auto`. */
  readonly question: string | null;
  readonly onDuplicate: OnDuplicate | null;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The limits of OpenAI's own metadata. */
const PAIRS_MAX = 16;
const KEY_CHARACTERS_MAX = 64;
const VALUE_CHARACTERS_MAX = 512;

const plainFields: ReadonlySet<string> = new Set([
  "purpose",
  "provider",
  "question",
  "on_duplicate",
  "metadata",
]);
const metadataKey = /^metadata\[([^[\]]+)\]$/;

/**
 * Reads the fields of an upload: `purpose`, `provider`, `question`, `on_duplicate`, and metadata as one
 * JSON object in `metadata` or as `metadata[key]` fields. Throws `GATEWAY_INVALID_REQUEST` for fields nobody knows, because an
 * ignored one (`expires_after`) would be a promise we do not keep.
 */
export function uploadFields(fields: ReadonlyMap<string, string>): UploadFields {
  const pairs = new Map<string, string>();
  for (const [name, value] of fields) {
    const key = metadataKey.exec(name)?.[1];
    if (key !== undefined) pairs.set(key, value);
    else if (!plainFields.has(name)) throw unknownField(name);
  }
  for (const [key, value] of jsonPairs(fields.get("metadata"))) pairs.set(key, value);
  checkPairs(pairs);
  return {
    purpose: fields.get("purpose") ?? null,
    provider: fields.get("provider") ?? null,
    question: fields.get("question") || null,
    onDuplicate: onDuplicateOf(fields.get("on_duplicate")),
    metadata: Object.fromEntries(pairs),
  };
}

/** Null where nothing is said. Throws `GATEWAY_INVALID_REQUEST` for anything but the three choices. */
export function onDuplicateOf(text: string | null | undefined): OnDuplicate | null {
  if (text === null || text === undefined || text === "") return null;
  const choice = duplicateChoices.find((each) => each === text);
  if (choice !== undefined) return choice;
  const shown = JSON.stringify(text.slice(0, 64));
  throw invalidRequest(
    "on_duplicate",
    `\`on_duplicate\` is ${duplicateChoices.join(", ")}, not ${shown}.`,
  );
}

const textRecord = v.pipe(
  v.unknown(),
  // A list is a record to the library.
  v.check((value) => !Array.isArray(value)),
  v.record(v.string(), v.string()),
);

function jsonPairs(json: string | undefined): [string, string][] {
  if (json === undefined || json === "") return [];
  const parsed = v.safeParse(textRecord, parseJson(json));
  if (parsed.success) return Object.entries(parsed.output);
  throw invalidRequest("metadata", "`metadata` must be a JSON object whose values are all text.");
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function checkPairs(pairs: ReadonlyMap<string, string>): void {
  if (pairs.size > PAIRS_MAX) {
    throw invalidRequest(
      "metadata",
      `\`metadata\` has ${pairs.size} keys; the limit is ${PAIRS_MAX}.`,
    );
  }
  for (const [key, value] of pairs) {
    if (key.length <= KEY_CHARACTERS_MAX && value.length <= VALUE_CHARACTERS_MAX) continue;
    throw invalidRequest(
      "metadata",
      `The metadata key ${JSON.stringify(key.slice(0, KEY_CHARACTERS_MAX))} is too long: keys have at most ${KEY_CHARACTERS_MAX} and values at most ${VALUE_CHARACTERS_MAX} characters.`,
    );
  }
}

function unknownField(name: string): Error {
  const shown = JSON.stringify(name.slice(0, 64));
  return invalidRequest(
    name.slice(0, 64),
    `An upload has no field ${shown}. Send file, purpose, provider, question, on_duplicate and metadata only.`,
  );
}
