/** @import { SnapshotOperation, SnapshotVerdict } from "../../../app/snapshot.ts" */
/** @import { FeedMismatch } from "../feed-state.ts" */
/** @import { Row } from "./charts.js" */
import { Charts } from "./charts.js";
import { byId, element, keyed, setAttribute, setText } from "./dom.js";
import {
  ago,
  bytes,
  duration,
  failedShare,
  gatesOf,
  gateWords,
  milliseconds,
  number,
  percent,
  percentageOf,
  rolloutSentence,
  ruleNames,
  ruleValue,
  verdictTones,
} from "./words.js";

/** @import { GateStatus } from "./words.js" */
/** @typedef {{ at: string, unlocked: boolean, rows: readonly Row[], mismatches: readonly FeedMismatch[] }} Around */

/** The bars reach their limit here, so that there is room to show what is beyond. */
const limitAt = 80;

const gateMarks = { passed: "✓", waiting: "…", holding: "!" };

/** Everything about one operation. */
export class OperationView {
  #charts = new Charts(byId("charts"));

  /** Draws the charts in the present theme's colours. */
  redraw() {
    this.#charts.redraw();
  }

  /**
   * @param {SnapshotOperation} operation
   * @param {Around} around
   */
  show(operation, { at, unlocked, rows, mismatches }) {
    const { name, kind, verdict, latch, rules } = operation;
    setText(byId("operation-name"), name);
    setText(byId("operation-kind"), kind === "read" ? "reads" : "writes");
    const tripped = latch?.tripped === true;
    const badge = byId("operation-verdict");
    setText(badge, tripped ? "rolled back" : verdict.verdict);
    setAttribute(badge, "data-tone", tripped ? "bad" : verdictTones[verdict.verdict]);
    setText(byId("operation-sentence"), tripped ? (latch?.reason ?? "") : verdict.sentence);
    showRollout(operation, at);
    showPaths(operation);
    this.#charts.show(rows);
    showRules(rules);
    showMismatches(
      mismatches.filter((mismatch) => mismatch.operation === name),
      { at, unlocked, compared: rules.find(({ rule }) => rule === "mismatch")?.samples ?? 0 },
    );
  }
}

/**
 * @param {SnapshotOperation} operation
 * @param {string} at
 */
function showRollout(operation, at) {
  const { flag, rollout } = operation;
  const share = percentageOf(operation);
  const bar = byId("rollout-bar");
  bar.style.setProperty("--share", `${share}%`);
  setAttribute(bar, "aria-valuenow", String(share));
  setText(byId("rollout-share"), `${share} %`);
  setText(byId("rollout-shadow"), `shadow ${flag?.enabled === true ? flag.shadowPercentage : 0} %`);
  setText(byId("rollout-why"), rolloutSentence(operation, at));
  const stages = rollout === null || rollout.state === "idle" ? [] : rollout.stages;
  const steps = stages.map((stage, index) => ({
    stage,
    index,
    now: rollout?.stage ?? -1,
    complete: rollout?.state === "complete",
  }));
  keyed(
    byId("stages"),
    steps,
    ({ index }) => String(index),
    () => {
      const node = element("li");
      /** @param {typeof steps[number]} step */
      const update = ({ stage, index, now, complete }) => {
        const done = index < now || complete;
        const state = done ? "done" : index === now ? "now" : "next";
        setAttribute(node, "data-state", state);
        setAttribute(node, "aria-current", state === "now" ? "step" : false);
        const label = stage.percentage === 0 ? "shadow" : `${stage.percentage} %`;
        setText(node, done ? `✓ ${label}` : label);
        node.title = `${duration(stage.holdSeconds * 1000)}, ${stage.samples} calls${stage.approval ? ", then a person approves" : ""}`;
      };
      return { node, update };
    },
  );
  keyed(byId("ticks"), steps, ({ index }) => String(index), tick);
  keyed(byId("gates"), gatesOf(operation), (gate) => gate.name, gateItem);
}

/** @param {{ stage: { percentage: number } }} step */
function tick({ stage }) {
  const node = element("i");
  node.style.setProperty("--at", `${stage.percentage}%`);
  return { node, update: () => undefined };
}

/** @returns {{ node: HTMLElement, update: (gate: GateStatus) => void }} */
function gateItem() {
  const mark = element("span", { class: "mark", "aria-hidden": "true" });
  const name = element("b");
  const text = element("span");
  const node = element("li", {}, mark, element("span", {}, name, " ", text));
  return {
    node,
    update: (gate) => {
      setAttribute(node, "data-state", gate.state);
      setText(mark, gateMarks[gate.state]);
      setText(name, `${gateWords(gate.name)}, ${gate.state}:`);
      setText(text, gate.sentence);
    },
  };
}

/** @param {SnapshotOperation} operation */
function showPaths({ windows, traffic, load }) {
  /** @param {number | null | undefined} value @param {(value: number) => string} unit */
  const written = (value, unit) => (value === null || value === undefined ? "–" : unit(value));
  /** @type {readonly [string, (path: "legacy" | "candidate") => string][]} */
  const lines = [
    ["Calls per second", (path) => written(traffic?.[path].perSecond, number)],
    ["Calls in the last minute", (path) => number(windows[path].calls)],
    ["Failed or timed out", (path) => written(failedShare(windows[path]), percent)],
    ["Timed out", (path) => number(windows[path].timedOut)],
    ["p50", (path) => milliseconds(traffic?.[path].p50Ms ?? null)],
    ["p95", (path) => milliseconds(traffic?.[path].p95Ms ?? null)],
    ["p99", (path) => milliseconds(traffic?.[path].p99Ms ?? null)],
    ["Memory in flight", (path) => bytes(load[path].bytes)],
  ];
  keyed(
    byId("paths"),
    lines,
    ([title]) => title,
    ([title]) => {
      const cells = /** @type {const} */ (["legacy", "candidate"]).map((path) => ({
        path,
        cell: element("td", { class: path }),
      }));
      const heading = element("th", { scope: "row" }, title);
      const node = element("tr", {}, heading, ...cells.map(({ cell }) => cell));
      return {
        node,
        update: ([, read]) => {
          for (const { path, cell } of cells) setText(cell, read(path));
        },
      };
    },
  );
}

/** @param {readonly SnapshotVerdict[]} rules */
function showRules(rules) {
  keyed(
    byId("rules"),
    rules,
    ({ rule }) => rule,
    ({ rule }) => {
      const title = ruleNames[rule] ?? rule;
      const value = element("span", { class: "figure" });
      const fill = element("span", { class: "fill" });
      const bar = element(
        "div",
        { class: "meter", role: "meter", "aria-label": title, "aria-valuemin": "0" },
        fill,
        element("span", { class: "limit", "aria-hidden": "true" }),
      );
      const sentence = element("p", { class: "sentence" });
      const badge = element("span", { class: "badge" });
      const head = element("div", { class: "rule-head" }, element("b", {}, title), badge, value);
      return {
        node: element("li", {}, head, bar, sentence),
        update: (verdict) => {
          const { observed, limit } = verdict;
          const text = distance(verdict);
          const filled =
            observed === null || limit === null || limit <= 0 ? 0 : (observed / limit) * limitAt;
          fill.style.width = `${Math.min(100, Math.max(0, filled))}%`;
          setAttribute(bar, "data-tone", verdictTones[verdict.verdict]);
          setAttribute(
            bar,
            "aria-valuenow",
            String(Math.min(125, Math.round((filled / limitAt) * 100))),
          );
          setAttribute(bar, "aria-valuemax", "125");
          setAttribute(bar, "aria-valuetext", text);
          setAttribute(badge, "data-tone", verdictTones[verdict.verdict]);
          setText(badge, verdict.verdict);
          setText(value, text);
          setText(sentence, verdict.sentence);
        },
      };
    },
  );
}

/** @param {SnapshotVerdict} verdict */
function distance({ rule, observed, limit }) {
  if (limit === null) return observed === null ? "nothing to judge" : ruleValue(rule, observed);
  const value = observed === null ? "–" : ruleValue(rule, observed);
  return `${value} of ${ruleValue(rule, limit)}`;
}

/**
 * @param {readonly FeedMismatch[]} mismatches
 * @param {{ at: string, unlocked: boolean, compared: number }} around
 */
function showMismatches(mismatches, { at, unlocked, compared }) {
  const count = mismatches.reduce((sum, each) => sum + each.count, 0);
  const none =
    compared === 0
      ? "Nothing was compared lately."
      : `No difference in ${number(compared)} comparisons.`;
  const some = `${number(count)} ${count === 1 ? "answer" : "answers"} differed, in ${mismatches.length} ${mismatches.length === 1 ? "way" : "ways"}.`;
  setText(byId("mismatch-summary"), count === 0 ? none : some);
  keyed(
    byId("mismatches"),
    mismatches.map((mismatch) => ({ ...mismatch, unlocked, seen: ago(mismatch.lastSeen, at) })),
    ({ id }) => id,
    () => {
      const title = element("span", { class: "fields" });
      const times = element("span", { class: "figure" });
      const body = element("div", { class: "differences" });
      const node = element("details", {}, element("summary", {}, title, times), body);
      let shown = "";
      return {
        node,
        update: (mismatch) => {
          setText(title, mismatch.differences.map(({ path }) => path || "the answer").join(", "));
          setText(times, `${number(mismatch.count)} ×, ${mismatch.seen}`);
          const next = JSON.stringify([mismatch.differences, mismatch.unlocked]);
          if (next === shown) return;
          shown = next;
          body.replaceChildren(...differenceNodes(mismatch, mismatch.unlocked));
        },
      };
    },
  );
}

/**
 * @param {FeedMismatch} mismatch
 * @param {boolean} unlocked
 */
function differenceNodes({ id, differences }, unlocked) {
  const nodes = differences.map(({ path, kind, legacy, candidate }) =>
    element(
      "dl",
      {},
      element("dt", {}, `${path || "the answer"}: ${kind}`),
      ...(legacy === null || candidate === null
        ? []
        : [
            element("dd", { class: "legacy" }, element("b", {}, "legacy "), legacy),
            element("dd", { class: "candidate" }, element("b", {}, "candidate "), candidate),
          ]),
    ),
  );
  const more = unlocked
    ? `Run it again with: changeover mismatches replay ${id}`
    : "The values are shown once the console is unlocked with the operator token.";
  return [...nodes, element("p", { class: "sentence" }, more)];
}
