/** @import { ControlReport } from "../../../app/control.ts" */
/** @import { SnapshotOperation as Shown } from "../../../app/snapshot.ts" */
import { byId, element, setText } from "./dom.js";

const tokenKey = "changeover.operator-token";
const nameKey = "changeover.operator-name";

/**
 * @typedef {object} Action
 * @property {string} id
 * @property {string} label on the button
 * @property {string} [path] of the control API; what has none is a command to the operation's rollout
 * @property {(operation: Shown) => boolean} possible
 * @property {(operation: Shown) => readonly string[]} consequences what will happen, in sentences
 * @property {boolean} [grave]
 */

/** @type {readonly Action[]} */
const actions = [
  {
    id: "rollback",
    label: "Roll back",
    path: "/control/rollback",
    grave: true,
    possible: ({ latch }) => latch?.tripped !== true,
    consequences: ({ name, flag }) => [
      `Every call of ${name} goes to legacy at once.`,
      `Its flag is set from ${flag?.percentage ?? 0} % to 0 %, for every process that reads it.`,
      "It stays so over restarts until a person re-arms it and sets a percentage again.",
    ],
  },
  {
    id: "rearm",
    label: "Re-arm",
    path: "/control/rearm",
    possible: ({ latch }) => latch?.tripped === true,
    consequences: ({ name }) => [
      `The latch of ${name} is cleared, so that its flag counts again.`,
      "The percentage stays at 0 %: no call moves until a person sets it.",
    ],
  },
  {
    id: "pause",
    label: "Pause rollout",
    possible: ({ rollout }) =>
      ["running", "waiting-approval", "held"].includes(rollout?.state ?? ""),
    consequences: ({ name, flag }) => [
      `The rollout of ${name} stops walking; its share stays at ${flag?.percentage ?? 0} %.`,
      "The guard goes on watching and rolls back if it has to.",
    ],
  },
  {
    id: "resume",
    label: "Resume rollout",
    possible: ({ rollout }) => ["paused", "held"].includes(rollout?.state ?? ""),
    consequences: ({ name }) => [
      `The rollout of ${name} walks on from its present stage.`,
      "Its share grows by itself whenever every gate is passed.",
    ],
  },
  {
    id: "approve",
    label: "Approve next stage",
    possible: ({ rollout }) => rollout?.state === "waiting-approval",
    consequences: ({ name, rollout }) => {
      const next = rollout?.stages[(rollout.stage ?? -1) + 1];
      const share = next === undefined ? "its next stage" : `${next.percentage} %`;
      return [`${name} goes on to ${share} of all calls on the candidate.`];
    },
  },
];

/** The operator token, kept for this tab only, and the commands it allows. */
export class Actions {
  #bar = byId("actions");
  #dialog = /** @type {HTMLDialogElement} */ (byId("dialog"));
  #form = /** @type {HTMLFormElement} */ (byId("dialog-form"));
  #token = /** @type {HTMLInputElement} */ (byId("token"));
  #by = /** @type {HTMLInputElement} */ (byId("by"));
  #reason = /** @type {HTMLTextAreaElement} */ (byId("reason"));
  /** @type {Shown | null} */
  #operation = null;
  /** @type {Action | null} */
  #action = null;
  /** @type {() => void} */
  #onToken;

  /** @param {() => void} onToken the token was given or forgotten */
  constructor(onToken) {
    this.#onToken = onToken;
    for (const action of actions) {
      const button = element(
        "button",
        {
          type: "button",
          id: `action-${action.id}`,
          class: action.grave === true ? "grave" : "plain",
          hidden: true,
        },
        action.label,
      );
      button.addEventListener("click", () => this.#open(action));
      this.#bar.append(button);
    }
    byId("lock").addEventListener("click", () => this.#toggleLock());
    byId("dialog-cancel").addEventListener("click", () => this.#dialog.close());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    this.#showLock();
  }

  /** @returns {string | null} */
  get token() {
    return sessionStorage.getItem(tokenKey);
  }

  /** @param {Shown} operation */
  show(operation) {
    this.#operation = operation;
    for (const action of actions) {
      const button = byId(`action-${action.id}`);
      const possible = action.possible(operation);
      if (!possible && button === document.activeElement) byId("operation-name").focus();
      button.hidden = !possible;
    }
  }

  /** Asks for the token, as when the server refuses without one. */
  ask() {
    if (!this.#dialog.open) this.#open(null);
  }

  /** Forgets the token, as when the server refuses it. */
  forget() {
    sessionStorage.removeItem(tokenKey);
    this.#showLock();
  }

  #toggleLock() {
    if (this.token === null) {
      this.#open(null);
      return;
    }
    this.forget();
    this.#onToken();
  }

  #showLock() {
    setText(byId("lock"), this.token === null ? "Unlock actions" : "Lock");
  }

  /** @param {Action | null} action null to ask for the token alone */
  #open(action) {
    const operation = this.#operation;
    if (action !== null && operation === null) return;
    this.#action = action;
    this.#form.dataset["operation"] = operation?.name ?? "";
    const title =
      action === null || operation === null
        ? "Unlock the console"
        : `${action.label}: ${operation.name}`;
    setText(byId("dialog-title"), title);
    const sentences =
      action === null || operation === null
        ? ["The operator token is kept for this tab only, until it is closed or locked."]
        : action.consequences(operation);
    byId("dialog-text").replaceChildren(...sentences.map((text) => element("li", {}, text)));
    byId("dialog-change").hidden = action === null;
    this.#by.required = action !== null;
    this.#reason.required = action !== null;
    this.#by.value = sessionStorage.getItem(nameKey) ?? "";
    this.#reason.value = "";
    this.#token.value = "";
    byId("dialog-token").hidden = this.token !== null;
    this.#token.required = this.token === null;
    const go = byId("dialog-go");
    setText(
      go,
      action === null || operation === null ? "Unlock" : `${action.label} ${operation.name}`,
    );
    go.className = action?.grave === true ? "grave" : "strong";
    go.hidden = false;
    setText(byId("dialog-cancel"), "Cancel");
    setText(byId("dialog-result"), "");
    this.#dialog.showModal();
    const first = [this.#token, this.#by, this.#reason].find(
      (field) => field.required && field.value === "",
    );
    first?.focus();
  }

  async #submit() {
    const action = this.#action;
    const token = this.token ?? this.#token.value.trim();
    const go = /** @type {HTMLButtonElement} */ (byId("dialog-go"));
    go.disabled = true;
    setText(byId("dialog-result"), "Working …");
    try {
      const answer =
        action === null ? await send("/control/status", token) : await this.#command(action, token);
      if (answer.status === 401) {
        this.forget();
        byId("dialog-token").hidden = false;
        this.#token.required = true;
        this.#token.focus();
        setText(byId("dialog-result"), "The gateway does not know this token.");
        return;
      }
      if (this.token === null) this.#remember(token);
      this.#report(action, answer);
    } catch {
      setText(
        byId("dialog-result"),
        "The gateway did not answer. Whether it was done, the journal will tell.",
      );
    } finally {
      go.disabled = false;
    }
  }

  /** @param {string} token */
  #remember(token) {
    sessionStorage.setItem(tokenKey, token);
    this.#showLock();
    this.#onToken();
  }

  /**
   * @param {Action} action
   * @param {string} token
   */
  #command(action, token) {
    const by = this.#by.value.trim();
    sessionStorage.setItem(nameKey, by);
    const operation = this.#form.dataset["operation"] ?? "";
    const change = { by, reason: this.#reason.value.trim() };
    return action.path === undefined
      ? send(`/control/rollout/${encodeURIComponent(operation)}/${action.id}`, token, change)
      : send(action.path, token, { operation, ...change });
  }

  /**
   * @param {Action | null} action
   * @param {{ status: number, json: Answered }} answer
   */
  #report(action, { status, json }) {
    const { error, reports = [], sentence = "Done." } = json;
    if (action === null && status < 400) {
      this.#dialog.close();
      return;
    }
    const steps = reports.flatMap((report) =>
      report.steps.map(
        ({ name, result, detail }) => `${name}: ${result}${detail === null ? "" : ` (${detail})`}`,
      ),
    );
    const said = error === undefined ? sentence : error.message;
    byId("dialog-result").replaceChildren(
      element("p", { "data-tone": error === undefined ? "good" : "bad" }, said),
      element("ul", {}, ...steps.map((text) => element("li", {}, text))),
    );
    if (error !== undefined) return;
    byId("dialog-go").hidden = true;
    byId("dialog-change").hidden = true;
    byId("dialog-token").hidden = true;
    setText(byId("dialog-cancel"), "Close");
    byId("dialog-cancel").focus();
  }
}

/** @typedef {{ error?: { message: string }, sentence?: string, reports?: readonly ControlReport[] }} Answered */

/**
 * @param {string} path
 * @param {string} token
 * @param {Readonly<Record<string, string>>} [body]
 * @returns {Promise<{ status: number, json: Answered }>}
 */
async function send(path, token, body) {
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    cache: "no-store",
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
  });
  return { status: response.status, json: await response.json().catch(() => ({})) };
}
