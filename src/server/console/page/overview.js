/** @import { SnapshotOperation } from "../../../app/snapshot.ts" */
import { byId, element, keyed, setAttribute, setText } from "./dom.js";
import { failedShare, milliseconds, percent, percentageOf, verdictTones } from "./words.js";

/**
 * The table of all operations; choosing one shows it below.
 */
export class Overview {
  #body = byId("operations");
  /** @type {(name: string) => void} */
  #choose;

  /** @param {(name: string) => void} choose */
  constructor(choose) {
    this.#choose = choose;
    this.#body.addEventListener("keydown", (event) => this.#walk(event));
  }

  /**
   * @param {readonly SnapshotOperation[]} operations
   * @param {string} chosen
   */
  show(operations, chosen) {
    keyed(
      this.#body,
      operations,
      ({ name }) => name,
      ({ name }) => this.#row(name),
    );
    for (const button of this.#body.querySelectorAll("button")) {
      setAttribute(button, "aria-pressed", String(button.textContent === chosen));
    }
  }

  /** @param {string} name */
  #row(name) {
    const button = element("button", { type: "button", class: "name" }, name);
    button.addEventListener("click", () => this.#choose(name));
    const fill = element("span", { class: "fill" });
    const share = element("span", { class: "figure" });
    const failed = element("td", { class: "pair" });
    const slow = element("td", { class: "pair" });
    const badge = element("span", { class: "badge" });
    const node = element(
      "tr",
      {},
      element("th", { scope: "row" }, button),
      element(
        "td",
        { class: "share" },
        element("span", { class: "bar", "aria-hidden": "true" }, fill),
        share,
      ),
      failed,
      slow,
      element("td", { class: "guard" }, badge),
    );
    /** @param {SnapshotOperation} operation */
    const update = (operation) => {
      const percentage = percentageOf(operation);
      fill.style.width = `${percentage}%`;
      setText(share, `${percentage} %`);
      const shares = [operation.windows.legacy, operation.windows.candidate].map((window) => {
        const found = failedShare(window);
        return found === null ? "–" : percent(found);
      });
      pair(failed, shares);
      const { traffic } = operation;
      pair(
        slow,
        [traffic?.legacy.p95Ms ?? null, traffic?.candidate.p95Ms ?? null].map(milliseconds),
      );
      const tripped = operation.latch?.tripped === true;
      const verdict = operation.verdict.verdict;
      setText(badge, tripped ? "rolled back" : verdict);
      setAttribute(badge, "data-tone", tripped ? "bad" : verdictTones[verdict]);
    };
    return { node, update };
  }

  /** Up and down move between the operations. @param {KeyboardEvent} event */
  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    const buttons = [...this.#body.querySelectorAll("button")];
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    const next = buttons[at + step];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    next.focus();
  }
}

/**
 * @param {Element} cell
 * @param {readonly string[]} texts of legacy and of the candidate
 */
function pair(cell, [legacy = "–", candidate = "–"]) {
  if (cell.childElementCount === 0) {
    cell.append(element("span", { class: "legacy" }), element("span", { class: "candidate" }));
  }
  const [left, right] = cell.children;
  if (left !== undefined) setText(left, legacy);
  if (right !== undefined) setText(right, candidate);
}
