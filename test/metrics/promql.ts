/** One label matcher of a selector. */
interface Matcher {
  readonly label: string;
  readonly operator: string;
  readonly value: string;
}

/** What a PromQL expression reads. */
export interface Reading {
  readonly selectors: readonly { readonly metric: string; readonly matchers: readonly Matcher[] }[];
  /** Labels of `by`, `without`, `on`, `ignoring` and `group_…`. */
  readonly grouping: readonly string[];
}

const tokenPattern =
  /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\[[^\]]*\]|[a-zA-Z_:][\w:]*|\d[\w.]*|=~|!~|!=|[<>=]=?|[{}(),+\-*/%^@]|\s+/y;
const grouping = new Set(["by", "without", "on", "ignoring", "group_left", "group_right"]);
const words = new Set(["and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"]);
const isName = (token: string | undefined): token is string => /^[a-zA-Z_:]/.test(token ?? "");

function tokensOf(expr: string): string[] {
  const tokens: string[] = [];
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < expr.length) {
    const at = tokenPattern.lastIndex;
    const match = tokenPattern.exec(expr);
    if (match === null) throw new Error(`Not PromQL at ${at}: ${expr.slice(at, at + 30)}`);
    if (match[0].trim() !== "") tokens.push(match[0]);
  }
  return tokens;
}

/**
 * Which metrics and labels does an expression read? A reader of tokens, not a parser: it takes for a
 * metric every name that is not a word of the language, a function, or a label. Throws for text that is
 * no PromQL, and for a selector that does not end.
 */
export function readingOf(expr: string): Reading {
  const tokens = tokensOf(expr);
  const selectors: { metric: string; matchers: Matcher[] }[] = [];
  const groups: string[] = [];
  let at = 0;
  const until = (end: string): string[] => {
    const from = at;
    while (tokens[at] !== end) {
      if (at >= tokens.length) throw new Error(`No ${end} in: ${expr}`);
      at += 1;
    }
    at += 1;
    return tokens.slice(from, at - 1);
  };
  while (at < tokens.length) {
    const token = tokens[at];
    at += 1;
    if (token === "{") throw new Error(`A selector without a metric in: ${expr}`);
    if (!isName(token)) continue;
    if (grouping.has(token)) {
      if (tokens[at] !== "(") continue;
      at += 1;
      groups.push(...until(")").filter((each) => each !== ","));
    } else if (
      !words.has(token.toLowerCase()) &&
      tokens[at] !== "(" &&
      !grouping.has(tokens[at] ?? "")
    ) {
      const matchers: Matcher[] = [];
      if (tokens[at] === "{") {
        at += 1;
        const inside = until("}").filter((each) => each !== ",");
        for (let index = 0; index < inside.length; index += 3) {
          const [label = "", operator = "", quoted = ""] = inside.slice(index, index + 3);
          matchers.push({ label, operator, value: quoted.slice(1, -1) });
        }
      }
      selectors.push({ metric: token, matchers });
    }
  }
  return { selectors, grouping: groups };
}

/** One rule of a Prometheus rule file. */
export interface Rule {
  readonly kind: "record" | "alert";
  readonly name: string;
  readonly expr: string;
}

/**
 * The rules of a rule file, from its lines: `record:` or `alert:` followed by `expr:` with a plain value or
 * a literal block. Throws when a rule has no expression that it can read.
 */
export function rulesOf(yaml: string): readonly Rule[] {
  const lines = yaml.split("\n");
  const rules: Rule[] = [];
  for (const [index, line] of lines.entries()) {
    const head = /^\s*- (record|alert): (\S+)$/.exec(line);
    if (head === null) continue;
    const exprAt = lines.findIndex((each, at) => at > index && /^\s*expr:/.test(each));
    const next = lines.findIndex((each, at) => at > index && /^\s*- (record|alert):/.test(each));
    if (exprAt < 0 || (next >= 0 && exprAt > next)) throw new Error(`${head[2]} has no expr`);
    const kind = head[1] === "record" ? "record" : "alert";
    rules.push({ kind, name: head[2] ?? "", expr: exprOf(lines, exprAt) });
  }
  return rules;
}

function exprOf(lines: readonly string[], at: number): string {
  const [, indent = "", value = ""] = /^(\s*)expr: ?(.*)$/.exec(lines[at] ?? "") ?? [];
  if (value !== "|") {
    if (value === "" || /^[>|'"]/.test(value)) throw new Error(`Cannot read: ${lines[at]}`);
    return value;
  }
  const rest = lines.slice(at + 1);
  const end = rest.findIndex((line) => line.trim() !== "" && !line.startsWith(`${indent}  `));
  return rest.slice(0, end < 0 ? undefined : end).join("\n");
}
