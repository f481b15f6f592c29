import type { SyntaxNode } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";

/** One label matcher of a selector. */
export interface Matcher {
  readonly label: string;
  readonly operator: string;
  readonly value: string;
}

/** One selector: which series, by which matchers. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly Matcher[];
}

/** Labels of `by`, `without`, `on`, `ignoring` or `group_…`, and the metrics they have to be labels of. */
export interface Grouping {
  readonly labels: readonly string[];
  readonly metrics: readonly string[];
}

/** What a PromQL expression reads. */
export interface Reading {
  readonly selectors: readonly Selector[];
  readonly groupings: readonly Grouping[];
}

/** What Grafana puts in before it asks Prometheus; anything else with a dollar is a mistake. */
const variables: Readonly<Record<string, string>> = {
  __rate_interval: "2m",
  __range: "20m",
  operation: ".*",
};

/** The expression as Prometheus gets it. Throws for a variable that nobody replaces. */
export function substituted(expr: string): string {
  return expr.replace(/\$\{?(\w+)\}?/g, (whole, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`Unknown variable ${whole} in: ${expr}`);
    return value;
  });
}

/**
 * Which metrics and labels does an expression read? By the grammar of Prometheus. Throws for text that
 * is no PromQL, and for a selector without a metric's name.
 */
export function readingOf(withVariables: string): Reading {
  const expr = substituted(withVariables);
  const text = ({ from, to }: SyntaxNode): string => expr.slice(from, to);
  const selectors: Selector[] = [];
  const groupings: Grouping[] = [];
  parser.parse(expr).iterate({
    enter: ({ node, type }) => {
      if (type.isError) {
        throw new Error(`Not PromQL at ${node.from}: ${expr.slice(node.from, node.from + 30)}`);
      }
      if (node.name === "VectorSelector") selectors.push(selectorOf(node, text));
      if (node.name === "GroupingLabels") {
        const labels = node.getChildren("LabelName").map(text);
        groupings.push({ labels, metrics: metricsIn(scopeOf(node), text) });
      }
    },
  });
  return { selectors, groupings };
}

type Text = (node: SyntaxNode) => string;

function selectorOf(node: SyntaxNode, text: Text): Selector {
  const name = node.getChild("Identifier");
  if (name === null) throw new Error(`A selector without a metric: ${text(node)}`);
  const matchers = node.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher") ?? [];
  return {
    metric: text(name),
    matchers: matchers.map((each) => {
      const part = (child: string): string => {
        const found = each.getChild(child);
        if (found === null) throw new Error(`Cannot read the matcher ${text(each)}`);
        return text(found);
      };
      const value = part("StringLiteral").slice(1, -1);
      return { label: part("LabelName"), operator: part("MatchOp"), value };
    }),
  };
}

/** The aggregation or the binary operation that the labels belong to. */
function scopeOf(node: SyntaxNode): SyntaxNode {
  let at: SyntaxNode | null = node;
  while (at !== null && at.name !== "AggregateExpr" && at.name !== "BinaryExpr") at = at.parent;
  return at ?? node;
}

function metricsIn(scope: SyntaxNode, text: Text): string[] {
  const found: string[] = [];
  scope.cursor().iterate((each) => {
    if (each.name !== "VectorSelector") return;
    const name = each.node.getChild("Identifier");
    if (name !== null) found.push(text(name));
  });
  return found;
}

/** One rule of a Prometheus rule file. */
export interface Rule {
  readonly kind: "record" | "alert";
  readonly name: string;
  readonly expr: string;
  /** Of an alert, with its labels. */
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * The rules of a rule file, from its lines: `record:` or `alert:` followed by `expr:` with a plain value or
 * a literal block. Throws when a rule has no expression that it can read.
 */
export function rulesOf(yaml: string): readonly Rule[] {
  const blocks = yaml.split(/^\s*- (?=(?:record|alert): )/m).slice(1);
  return blocks.map((block) => {
    const [, kind, name = ""] = /^(record|alert): (\S+)/.exec(block) ?? [];
    const lines = block.split("\n");
    const exprAt = lines.findIndex((each) => /^\s*expr:/.test(each));
    if (exprAt < 0) throw new Error(`${name} has no expr`);
    const pairs = lines
      .slice(1)
      .map((each) => /^\s+(\w+): "?([^|].*?)"?$/.exec(each))
      .flatMap((match) => (match === null ? [] : [[match[1] ?? "", match[2] ?? ""]]));
    return {
      kind: kind === "record" ? "record" : "alert",
      name,
      expr: exprOf(lines, exprAt),
      annotations: Object.fromEntries(pairs) as Record<string, string>,
    };
  });
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
