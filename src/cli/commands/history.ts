import type { Explanation } from "../../app/control.ts";
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
    const entries = await operator.journal({
      limit,
      ...(operation === undefined ? {} : { operation: await fullName(operator, operation) }),
      ...(since === undefined ? {} : { sinceMs: since }),
    });
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

function explained({ operation, key, path, shadow, reason, input }: Explanation): Line[] {
  const facts = Object.entries(input).map(([name, value]) => [`  ${name}`, String(value)]);
  const shadowed = shadow ? `, shadowed on ${path === "legacy" ? "the candidate" : "legacy"}` : "";
  return [
    [
      `${operation} with key ${JSON.stringify(key)} goes to `,
      styled("strong", path),
      `${shadowed}, because of `,
      styled("name", reason),
    ],
    ...table(facts).map((line): Line => line),
  ];
}

/** The journal knows operations by their full names; people may type `upload`. */
async function fullName(operator: OperatorDoor, typed: string): Promise<string> {
  const { operations } = await operator.snapshot();
  const found = operations.filter(({ name }) => name === typed || name.endsWith(`.${typed}`));
  return found.length === 1 ? (found[0]?.name ?? typed) : typed;
}
