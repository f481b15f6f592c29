/** How a piece of text is meant; colours are only used on a terminal. */
export type Style = "strong" | "faint" | "good" | "bad" | "warn" | "name";

/** A piece of text, plain or with a style. It is escaped when it is written, never before. */
export type Span = string | { readonly style: Style; readonly text: string };

/** One line of output. */
export type Line = Span | readonly Span[];

/** Marks `text` with a style. */
export function styled(style: Style, text: string): Span {
  return { style, text };
}

/** The spans of a line. */
export function spansOf(line: Line): readonly Span[] {
  return typeof line === "string" || "style" in line ? [line] : line;
}

/** The text of a span without its style. */
export function textOf(span: Span): string {
  return typeof span === "string" ? span : span.text;
}

/**
 * Characters that make a terminal do something or show text in another order than it is stored:
 * controls, line separators, bidirectional marks, embeddings, overrides and isolates, and halves of
 * surrogate pairs.
 */
const treacherous =
  /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;

/** The same text with every character that could mislead a reader shown as `\u{202e}`. */
export function visible(text: string): string {
  return text.replace(treacherous, escaped);
}

/**
 * JSON of `value` in which no character could mislead a reader; it parses to the same value. With an
 * indent of 0 it is one line.
 */
export function visibleJson(value: unknown, indent = 2): string {
  const text = JSON.stringify(value, null, indent) ?? "null";
  return text.replace(treacherous, (character) =>
    character === "\n" ? character : jsonEscaped(character),
  );
}

function escaped(character: string): string {
  return `\\u{${character.charCodeAt(0).toString(16)}}`;
}

function jsonEscaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Rows as lines with aligned columns. Numbers are written by the caller; the last column is not padded. */
export function table(rows: readonly (readonly Span[])[]): Line[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, widthOf(visible(textOf(cell))));
    }
  }
  return rows.map((row) =>
    row.flatMap((cell, column) => {
      if (column === row.length - 1) return [cell];
      const padding = (widths[column] ?? 0) - widthOf(visible(textOf(cell))) + 2;
      return [cell, " ".repeat(padding)];
    }),
  );
}

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const wide =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]/u;

/** Columns that `text` takes on a terminal: wide letters and emoji take two, combining marks none. */
export function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of segmenter.segment(text)) {
    if (/^\p{Mn}+$/u.test(segment)) continue;
    width += wide.test(segment) ? 2 : 1;
  }
  return width;
}

/** At most `columns` columns of `text`, with `…` in place of what was cut from its middle. */
export function shortened(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  const segments = [...segmenter.segment(text)].map(({ segment }) => segment);
  const tail = takeColumns(segments.toReversed(), Math.floor((columns - 1) / 3)).toReversed();
  const head = takeColumns(segments, columns - 1 - widthOf(tail.join("")));
  return `${head.join("")}…${tail.join("")}`;
}

function takeColumns(segments: readonly string[], columns: number): string[] {
  const taken: string[] = [];
  let width = 0;
  for (const segment of segments) {
    width += widthOf(segment);
    if (width > columns) break;
    taken.push(segment);
  }
  return taken;
}

const units: readonly (readonly [string, number])[] = [
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
];

/** `50.0 MiB`, `3 B`. */
export function bytesText(bytes: number): string {
  const unit = units.find(([, size]) => bytes >= size);
  return unit === undefined ? `${bytes} B` : `${(bytes / unit[1]).toFixed(1)} ${unit[0]}`;
}

/** `1 file`, `2 files`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
