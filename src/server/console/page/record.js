/** @import { Snapshot } from "../../../app/snapshot.ts" */
/** @import { JournalLine } from "../feed-state.ts" */
import { byId, element, keyed, setAttribute, setText } from "./dom.js";
import { ago, bytes, duration, number } from "./words.js";

/** @typedef {Omit<Snapshot, "operations" | "at">} Process */
/** @typedef {Process["instances"][number]} InstanceStatus */

/**
 * The journal, the newest entry first.
 * @param {readonly JournalLine[]} journal
 * @param {string} at
 */
export function showJournal(journal, at) {
  byId("journal-empty").hidden = journal.length > 0;
  keyed(
    byId("journal"),
    journal.map((line) => ({ line, at })),
    ({ line }) => JSON.stringify({ ...line, times: null }),
    ({ line }) => {
      const time = element("time", { datetime: line.at, title: line.at });
      const by =
        line.actor.type === "person" ? line.actor.name : `${line.actor.type} ${line.actor.name}`;
      const change = line.from === null || line.to === null ? "" : `${line.from} → ${line.to}`;
      const note = element("p", { class: "sentence" });
      const node = element(
        "li",
        { "data-kind": line.kind },
        element(
          "div",
          { class: "journal-head" },
          element("b", {}, line.kind),
          " ",
          line.operation,
          " ",
          time,
        ),
        element("p", {}, line.why),
        note,
      );
      return {
        node,
        update: ({ line: { times }, at: now }) => {
          setText(time, ago(line.at, now));
          const written = times > 1 ? `written ${times} times` : "";
          setText(note, [`by ${by}`, change, written].filter(Boolean).join(" · "));
        },
      };
    },
  );
}

/**
 * This process, its flags and providers, and the other instances.
 * @param {Process} process
 * @param {string} at
 */
export function showProcess(process, at) {
  const { flags, memory, spool, shadow, providers = [], faults } = process;
  const { state, lastRefreshMs } = flags.freshness;
  // What comes from the program itself is fresh without ever being read.
  const never = state === "fresh" ? "" : "never read";
  const read =
    lastRefreshMs === null ? never : `read ${ago(new Date(lastRefreshMs).toISOString(), at)}`;
  const limit = memory.limitBytes === null ? "" : ` of ${bytes(memory.limitBytes)}`;
  /** @type {(readonly [string, string])[]} */
  const facts = [
    [
      "Process",
      `${process.pid}, version ${process.version}, up ${duration(Date.parse(at) - Date.parse(process.startedAt))}`,
    ],
    ["Flags", [flags.kind, state, read].filter(Boolean).join(", ")],
    ["Memory", `${bytes(memory.usedBytes)}${limit}`],
    ["Spool", `${bytes(spool.usedBytes)} of ${bytes(spool.limitBytes)}`],
    ["Shadows running", number(shadow.inFlight)],
    ...flags.problems.map(
      ({ subject, message }) => /** @type {const} */ ([`Flag problem: ${subject}`, message]),
    ),
    ...providers.map(
      ({ provider, health }) => /** @type {const} */ ([`Provider ${provider}`, healthText(health)]),
    ),
    .../** @type {const} */ (["legacy", "candidate"]).flatMap((path) => {
      const set = Object.entries(faults[path]).filter(([, value]) => value !== 0);
      const text = set.map(([name, value]) => `${name} ${value}`).join(", ");
      return text === "" ? [] : [/** @type {const} */ ([`Fault injected: ${path}`, text])];
    }),
  ];
  keyed(
    byId("facts"),
    facts,
    ([title]) => title,
    ([title]) => {
      const value = element("dd");
      const node = element("div", {}, element("dt", {}, title), value);
      return { node, update: ([, text]) => setText(value, text) };
    },
  );
  showInstances(process.instances, at);
}

/** @param {Process["providers"][number]["health"]} health */
function healthText({ state, reason }) {
  return reason === "" ? state : `${state}: ${reason}`;
}

/**
 * @param {readonly InstanceStatus[]} instances
 * @param {string} at
 */
function showInstances(instances, at) {
  byId("instances-section").hidden = instances.length === 0;
  const live = instances.filter((instance) => instance.live);
  const revisions = new Set(live.map(({ flags }) => flags.revision));
  setText(
    byId("instances-summary"),
    revisions.size > 1
      ? `${live.length} live, and they do not agree: ${revisions.size} flag revisions.`
      : `${live.length} live, all on one flag revision.`,
  );
  setAttribute(byId("instances-summary"), "data-tone", revisions.size > 1 ? "warn" : "good");
  keyed(
    byId("instances"),
    instances.map((each) => ({ ...each, seen: ago(each.seenAt, at) })),
    ({ instance }) => instance,
    ({ instance }) => {
      const cells = [element("td"), element("td"), element("td")];
      const node = element("tr", {}, element("th", { scope: "row" }, instance), ...cells);
      return {
        node,
        update: ({ flags, live: alive, seen, version }) => {
          const texts = [
            flags.revision,
            `${flags.kind}, ${flags.state}`,
            `${version}, ${alive ? "live" : `gone ${seen}`}`,
          ];
          for (const [index, cell] of cells.entries()) setText(cell, texts[index] ?? "");
        },
      };
    },
  );
}
