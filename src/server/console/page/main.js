/** @import { FeedMessage } from "../feed-state.ts" */
/** @import { Row } from "./charts.js" */
import { Actions } from "./actions.js";
import { every, monotonicMs } from "./clock.js";
import { Connection } from "./connection.js";
import { byId, setAttribute, setText } from "./dom.js";
import { OperationView } from "./operation.js";
import { Overview } from "./overview.js";
import { showJournal, showProcess } from "./record.js";
import { duration, headline, mostUrgent, timeOfDay } from "./words.js";

/** Data older than this is called old; the server sends once a second. */
const staleMs = 3500;
/** As many points as the server keeps of each operation. */
const pointsMax = 150;
const themeKey = "changeover.theme";

/** @type {Partial<FeedMessage>} */
let state = {};
/** @type {Map<string, Row[]>} */
const history = new Map();
/** What the reader chose; until then the most urgent operation is shown. @type {string | null} */
let chosen = null;
/** Nothing is shown, because the server wants a token first. */
let refused = "";

const connection = new Connection({
  token: () => actions.token,
  onOpen: () => {
    state = {};
    history.clear();
  },
  onMessage: take,
  onRefused: ({ status, message }) => {
    refused = message;
    if (status !== 401) return;
    actions.forget();
    actions.ask();
  },
});
const actions = new Actions(() => connection.restart());
const overview = new Overview((name) => {
  chosen = name;
  show();
});
const view = new OperationView();

/** @param {FeedMessage} message */
function take(message) {
  refused = "";
  const { history: points, ...sections } = message;
  state = { ...state, ...sections };
  for (const [name, rows] of Object.entries(points)) {
    history.set(name, [...(history.get(name) ?? []), ...rows].slice(-pointsMax));
  }
  show();
  showAge();
}

function show() {
  const { at, operations, process, journal = [], mismatches = [], unlocked = false } = state;
  if (at === undefined || operations === undefined || process === undefined) return;
  const { tone, title, text } = headline({ operations, at });
  // On a narrow screen a number must not lose its sign to the next line.
  setText(byId("headline"), title.replaceAll(" %", "\u00a0%"));
  setText(byId("headline-text"), text);
  setAttribute(byId("lede"), "data-tone", tone);
  const operation = operations.find(({ name }) => name === chosen) ?? mostUrgent(operations);
  byId("content").hidden = operation === undefined;
  if (operation !== undefined) {
    overview.show(operations, operation.name);
    view.show(operation, { at, unlocked, mismatches, rows: history.get(operation.name) ?? [] });
    actions.show(operation);
  }
  showJournal(journal, at);
  showProcess(process, at);
}

/** Says how old everything is, and what is done about it. */
function showAge() {
  const now = monotonicMs();
  const ageMs = connection.heardMs === null ? null : now - connection.heardMs;
  const stale = ageMs !== null && ageMs > staleMs;
  const retry =
    connection.retryMs === null ? "" : ` Trying again in ${duration(connection.retryMs - now)}.`;
  document.body.classList.toggle("stale", stale);
  const pill = byId("freshness");
  setAttribute(pill, "data-tone", ageMs === null || stale ? "warn" : "good");
  setText(pill, ageMs === null ? "waiting" : stale ? `${duration(ageMs)} old` : "live");
  const banner = byId("banner");
  banner.hidden = !stale && refused === "" && !(ageMs === null && now > staleMs);
  if (banner.hidden) return;
  const what =
    ageMs === null
      ? "There is no data yet."
      : `Old data: this is how it was at ${timeOfDay(state.at ?? "")}, ${duration(ageMs)} ago.`;
  const reason = refused === "" ? "The gateway does not answer." : refused;
  setText(byId("banner-what"), `${what} ${reason}`);
  // Outside of what is read aloud: it changes every second.
  setText(byId("banner-retry"), retry);
}

function startTheme() {
  const select = /** @type {HTMLSelectElement} */ (byId("theme"));
  const apply = () => {
    document.documentElement.dataset["theme"] = select.value;
    view.redraw();
  };
  const kept = localStorage.getItem(themeKey) ?? "auto";
  select.value = ["auto", "light", "dark"].includes(kept) ? kept : "auto";
  select.addEventListener("change", () => {
    localStorage.setItem(themeKey, select.value);
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  apply();
}

startTheme();
every(1000, showAge);
void connection.run();
