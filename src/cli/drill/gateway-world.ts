import type { Snapshot } from "../../app/snapshot.ts";
import { CodedError } from "../../base/errors.ts";
import type { CallEnd, DrillSubject } from "../../rehearsal/drill/drill.ts";
import type { DrillView, DrillWorld } from "../../rehearsal/drill/run-drill.ts";
import type { Fault } from "../../rehearsal/faults.ts";
import type { LiveProduct } from "../session.ts";

/** Milliseconds that a call of a drill may take: longer than any latency a drill injects. */
const callLimitMs = 65_000;
const change = { by: "drill", reason: "changeover drill" };

/** Operations that a drill can call, with the request for each; `id` is a file of the drill's own. */
const requests: Readonly<Record<string, (id: string, turn: number) => Request>> = {
  "files.list": () => ({ method: "GET", path: "/v1/files?limit=1" }),
  "files.info": (id) => ({ method: "GET", path: `/v1/files/${id}` }),
  "files.download": (id) => ({ method: "GET", path: `/v1/files/${id}/content` }),
  "files.upload": (_id, turn) => ({
    method: "PUT",
    path: `/v1/files/changeover-drill-${turn}.txt`,
    body: `drill ${turn}`,
  }),
};

interface Request {
  readonly method: "GET" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: string;
}

/** The operations a drill can be held on. */
export const drillable: readonly string[] = Object.keys(requests);

/**
 * A running product as a drill sees it: callers' calls through its gateway, everything else through its
 * control API. Every call has a routing key of its own, so that the percentage is met whoever calls.
 */
export class GatewayWorld implements DrillWorld {
  readonly #product: LiveProduct;
  readonly #operation: string;
  /** Files that the drill made, to be removed again. */
  readonly #made: string[] = [];
  #file = "";
  #turn = 0;

  private constructor(product: LiveProduct, operation: string) {
    this.#product = product;
    this.#operation = operation;
  }

  /** Stores the file that the calls are about. Rejects with `CLI_DRILL_CALL` when that fails. */
  static async open(product: LiveProduct, operation: string): Promise<GatewayWorld> {
    const world = new GatewayWorld(product, operation);
    const body = "The file of a drill; it may be deleted.";
    const answer = await world.#fetch({
      method: "PUT",
      path: "/v1/files/changeover-drill.txt",
      body,
    });
    const id = answer?.ok === true ? ((await answer.json()) as { id?: unknown }).id : undefined;
    if (typeof id !== "string") {
      throw new CodedError(
        "CLI_DRILL_CALL",
        `A drill needs a file of its own, and ${product.origin} did not store it (status ${answer?.status ?? "none"}). Look at its log, and give --api-key where keys are set up.`,
        { status: 502 },
      );
    }
    world.#file = id;
    world.#made.push(id);
    return world;
  }

  /** Removes the files that the drill made. Never rejects; says how many are left. */
  async close(): Promise<number> {
    let left = 0;
    for (const id of this.#made.splice(0)) {
      const answer = await this.#fetch({ method: "DELETE", path: `/v1/files/${id}` });
      await answer?.body?.cancel();
      if (answer?.ok !== true) left += 1;
    }
    return left;
  }

  async subject(): Promise<DrillSubject> {
    const { limits } = await this.#product.operator.snapshot();
    const { rules, kind } = await this.#find();
    const latency = rules.find(({ rule }) => rule === "latency");
    return {
      deadlineMs: limits.candidateDeadlineMs,
      latencyMeasured: latency?.legacyKnown === true,
      heapLimitBytes: limits.heapBytes,
      shadowable: kind === "read",
    };
  }

  async prepare(percentage: number, shadow: number): Promise<void> {
    const { operator } = this.#product;
    await operator.setFault("candidate", {}, change);
    await operator.rearm(this.#operation, change);
    await operator.setFlag(this.#operation, { percentage, shadow }, change);
  }

  async setFault(fault: Partial<Fault>): Promise<void> {
    await this.#product.operator.setFault("candidate", fault, change);
  }

  async call(): Promise<CallEnd> {
    this.#turn += 1;
    const request = requests[this.#operation]?.(this.#file, this.#turn);
    if (request === undefined) return "lost";
    const answer = await this.#fetch(request);
    if (answer === null) return "lost";
    try {
      const text = await answer.text();
      if (request.method === "PUT" && answer.ok) {
        const { id } = JSON.parse(text) as { id: string };
        this.#made.push(id);
      }
    } catch {
      return "cut";
    }
    return answer.status < 500 ? "answered" : "failed";
  }

  async view(): Promise<DrillView> {
    const snapshot = await this.#product.operator.snapshot();
    const { latch, rules } = await this.#find(snapshot);
    const latched = latch?.tripped === true;
    const others = snapshot.instances.filter(({ live }) => live);
    const allOnLegacy = others.every(({ operations }) => {
      const report = operations.find(({ operation }) => operation === this.#operation);
      return report === undefined || report.latched || report.percentage === 0;
    });
    const holding = rules.filter(({ verdict }) => verdict === "suspect" || verdict === "breached");
    return {
      latched,
      latchedBy: latched ? (latch?.by.name ?? null) : null,
      holding: holding.map(({ rule }) => rule),
      allOnLegacy: latched && allOnLegacy,
      notices: snapshot.notices?.delivered ?? null,
    };
  }

  async journalled(sinceMs: number): Promise<boolean> {
    const query = { operation: this.#operation, sinceMs, limit: 50 };
    const entries = await this.#product.operator.journal(query);
    return entries.some(
      ({ kind, evidence }) => kind === "rollback" && Array.isArray(evidence["steps"]),
    );
  }

  async #find(taken?: Snapshot): Promise<Snapshot["operations"][number]> {
    const snapshot = taken ?? (await this.#product.operator.snapshot());
    const found = snapshot.operations.find(({ name }) => name === this.#operation);
    if (found !== undefined) return found;
    throw new CodedError(
      "MIGRATION_UNKNOWN_OPERATION",
      `There is no operation "${this.#operation}".`,
      { status: 404 },
    );
  }

  /** Null: no answer came. */
  #fetch({ method, path, body }: Request): Promise<Response | null> {
    const { origin, operatorToken, apiKey } = this.#product;
    const headers = {
      "x-changeover-key": `drill-${this.#turn}`,
      "x-changeover-token": operatorToken,
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    };
    const signal = AbortSignal.timeout(callLimitMs);
    const init = { method, headers, signal, ...(body === undefined ? {} : { body }) };
    return fetch(`${origin}${path}`, init).catch(() => null);
  }
}
