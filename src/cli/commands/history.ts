import type { Explanation } from "../../app/control.ts";
import { byMoment } from "../../migration/journal.ts";
import type { Command } from "../context.ts";
import type { OperatorDoor } from "../doors/operator-door.ts";
import { withOperator } from "../session.ts";
import { type Line, styled, table } from "../terminal/text.ts";

interface JournalOptions {
  readonly operation?: string;
  /** Milliseconds since the Unix epoch. */
  readonly since?: number;
  readonly limit: number;
}

/** `changeover journal` */
export const journal: Command<JournalOptions> = (context, { options }) =>
  withOperator(context, async (operator) => {
    const { operation, since, limit } = options;
    const found = await operator.journal({
      limit,
      ...(operation === undefined ? {} : { operation: await fullName(operator, operation) }),
      ...(since === undefined ? {} : { sinceMs: since }),
    });
    const entries = byMoment(found);
    const rows = entries.map(({ at, operation: name, kind, actor, from, to, why: reason }) => [
      styled("faint", at),
      name,
      kind,
      `${actor.type} ${actor.name}`,
      `${from ?? ""}${from === null && to === null ? "" : " -> "}${to ?? ""}`,
      reason,
    ]);
    const lines = rows.length === 0 ? ["The journal has no such entries."] : table(rows);
    return { answer: { value: entries, lines } };
  });

/** `changeover why` */
export const why: Command<unknown> = (context, { words }) =>
  withOperator(context, async (operator) => {
    const [operation = "", key = ""] = words;
    const found = await operator.explain(operation, key);
    return { answer: { value: found, lines: [...explained(found)] } };
  });

function explained(found: Explanation): Line[] {
  const { operation, key, path, shadow, reason, input } = found;
  const facts = Object.entries(input).map(([name, value]) => [`  ${name}`, String(value)]);
  const shadowed = shadow ? `, shadowed on ${path === "legacy" ? "the candidate" : "legacy"}` : "";
  return [
    [
      `${operation} with key ${JSON.stringify(key)} goes to `,
      styled("strong", path),
      `${shadowed}, because of `,
      styled("name", reason),
    ],
    ...table([
      ["  bucket", bucketWords(found)],
      ["  flag", flagWords(found)],
      ["  latch", latchWords(found)],
      ["  verdict", `${found.verdict.verdict}: ${found.verdict.sentence}`],
    ]),
    ...table(facts).map((line): Line => line),
  ];
}

function bucketWords({ bucket, flag }: Explanation): string {
  if (bucket === null) return "not known: the flags do not tell";
  const percentage = flag?.percentage ?? 0;
  const from = `${bucket} of 100: the candidate's from ${bucket} % on`;
  if (percentage >= bucket) return `${from}, which ${percentage} % has reached`;
  // Below one percent the flag picks some keys of the first bucket.
  const part = percentage > 0 && bucket === 1;
  return part ? `${from}, in part at ${percentage} %` : `${from}, not yet at ${percentage} %`;
}

function flagWords({ flag }: Explanation): string {
  if (flag === null) return "none";
  const { enabled, percentage, shadowPercentage, origin } = flag;
  return `${enabled ? "on" : "off"}, ${percentage} %, ${shadowPercentage} % in the shadow; ${origin}`;
}

function latchWords({ latch }: Explanation): string {
  if (latch === null) return "armed; it never tripped";
  const { tripped, at, by, reason } = latch;
  return `${tripped ? "TRIPPED" : "armed"} since ${at} by ${by.type} ${by.name}: ${reason}`;
}

/** The journal knows operations by their full names; people may type `upload`. */
async function fullName(operator: OperatorDoor, typed: string): Promise<string> {
  const { operations } = await operator.snapshot();
  const found = operations.filter(({ name }) => name === typed || name.endsWith(`.${typed}`));
  return found.length === 1 ? (found[0]?.name ?? typed) : typed;
}
