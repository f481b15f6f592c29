import { type Clock, sleep } from "../../base/clock.ts";
import { type Random, seededRandom } from "../../base/random.ts";

/** Which operation of the file API a request is. */
export type Operation = "upload" | "list" | "retrieve" | "content" | "delete";

/** When a fault acts: before anything is read, while the body arrives, or instead of the answer to work that is done. */
export type FaultMoment = "arrival" | "bytes" | "reply";

/** What a fault can do to the request it acts on. */
export interface FaultTarget {
  readonly clock: Clock;
  /** Bytes of the request's body so far. */
  readonly bytesReceived: number;
  /** Milliseconds since the request arrived. */
  readonly elapsedMs: number;
  /** Answers with the provider's documented error for this status, and when to come back. */
  answerError(status: number, retryAfterSeconds: number | undefined): void;
  /** Answers that the account has nothing left to spend. */
  answerArrears(): void;
  /** Changes the text of the answer. */
  alterReply(alter: (text: string) => string): void;
  /** Reads the body away and resolves when the client has gone. */
  hang(): Promise<void>;
  /** Cuts the connection with a TCP reset. */
  reset(): void;
}

/** Whether the request goes on after a fault, or is over. */
export type FaultResult = "go-on" | "over";

interface FaultKind {
  readonly field: string;
  readonly min: number;
  readonly max: number;
  readonly moment: FaultMoment;
  act(
    value: number,
    target: FaultTarget,
    values: FaultPlan["values"],
  ): FaultResult | Promise<FaultResult>;
}

/**
 * Every fault: the name of its number in the JSON, the range of that number, when it acts and what it
 * does. Another fault is another row.
 */
const FAULT_KINDS: readonly FaultKind[] = [
  {
    field: "latencyMs",
    min: 0,
    max: 600_000,
    moment: "arrival",
    act: (ms, { clock }) => sleep(clock, ms).then(() => "go-on"),
  },
  {
    field: "errorStatus",
    min: 400,
    max: 599,
    moment: "arrival",
    act: (status, target, values) => {
      target.answerError(status, values["retryAfterSeconds"]);
      return "over";
    },
  },
  {
    // Goes with errorStatus: the value of its Retry-After header, which is then sent by either provider.
    field: "retryAfterSeconds",
    min: 0,
    max: 86_400,
    moment: "arrival",
    act: () => "go-on",
  },
  {
    // 1: the 429 that no waiting cures.
    field: "spentQuota",
    min: 1,
    max: 1,
    moment: "arrival",
    act: (_one, target) => {
      target.answerArrears();
      return "over";
    },
  },
  {
    // 1: the body is taken, nothing is kept, and no answer ever comes.
    field: "hang",
    min: 1,
    max: 1,
    moment: "arrival",
    act: (_one, target) => target.hang().then(() => "over"),
  },
  {
    // The body is read at this speed at most, so that the client has to wait.
    field: "bytesPerSecond",
    min: 1,
    max: 1e12,
    moment: "bytes",
    act: (rate, { clock, bytesReceived, elapsedMs }) => {
      const aheadMs = Math.max(0, (bytesReceived / rate) * 1000 - elapsedMs);
      return sleep(clock, aheadMs).then(() => "go-on");
    },
  },
  {
    field: "resetAfterBytes",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    moment: "bytes",
    act: (bytes, target) => {
      if (target.bytesReceived < bytes) return "go-on";
      target.reset();
      return "over";
    },
  },
  {
    // The file object names so many bytes more than arrived.
    field: "wrongBytes",
    min: 1,
    max: 1e9,
    moment: "reply",
    act: (more, target) => {
      target.alterReply((text) =>
        text.replace(/"bytes":(\d+)/, (_, bytes: string) => `"bytes":${Number(bytes) + more}`),
      );
      return "go-on";
    },
  },
  {
    // 1: the answer stops in the middle of its JSON.
    field: "truncateReply",
    min: 1,
    max: 1,
    moment: "reply",
    act: (_one, target) => {
      target.alterReply((text) => text.slice(0, Math.floor(text.length / 2)));
      return "go-on";
    },
  },
  {
    // 1: the work is done and kept, and the client never hears of it.
    field: "loseReply",
    min: 1,
    max: 1,
    moment: "reply",
    act: (_one, target) => {
      target.reset();
      return "over";
    },
  },
];

const OPERATIONS: readonly string[] = ["upload", "list", "retrieve", "content", "delete"];

/** Faults that are set: numbers by the names of the table, for how many requests, for which operations. */
export interface FaultPlan {
  readonly values: Readonly<Record<string, number>>;
  /** How many more requests are hit; null: all. */
  readonly count: number | null;
  /** Empty: all operations. */
  readonly operations: readonly string[];
  /** How many of a hundred requests are hit; chosen by `seed`, the same ones in every run. */
  readonly percent: number;
  readonly seed: number;
}

/** Plans that may be set at once. */
const MAX_PLANS = 20;

/**
 * Reads a plan from JSON: the numbers of the table, `count`, `operations`, `percent` and `seed`; or a
 * list of plans, of which the first that hits a request acts on it. A text says what is wrong.
 */
export function parseFaultPlans(json: unknown): readonly FaultPlan[] | string {
  if (!Array.isArray(json)) {
    const plan = parsePlan(json);
    return typeof plan === "string" ? plan : [plan];
  }
  if (json.length === 0 || json.length > MAX_PLANS) {
    return `Faults are an object, or a list of 1 to ${MAX_PLANS} of them.`;
  }
  const plans = json.map(parsePlan);
  return plans.find((plan) => typeof plan === "string") ?? (plans as FaultPlan[]);
}

function parsePlan(json: unknown): FaultPlan | string {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    return "Faults are an object.";
  const {
    count = null,
    operations = [],
    percent = 100,
    seed = 1,
    ...rest
  } = json as Record<string, unknown>;
  if (count !== null && !(Number.isInteger(count) && Number(count) >= 1)) {
    return "count is a whole number of at least 1.";
  }
  if (!Array.isArray(operations) || operations.some((each) => !OPERATIONS.includes(each))) {
    return `operations is a list of ${OPERATIONS.join(", ")}.`;
  }
  if (typeof percent !== "number" || !(percent > 0 && percent <= 100)) {
    return "percent is a number above 0, up to 100.";
  }
  if (!Number.isInteger(seed)) return "seed is a whole number.";
  const values = parseValues(rest);
  if (typeof values === "string") return values;
  return { values, count: count as number | null, operations, percent, seed: Number(seed) };
}

function parseValues(json: Readonly<Record<string, unknown>>): FaultPlan["values"] | string {
  const values: Record<string, number> = {};
  for (const [field, value] of Object.entries(json)) {
    const kind = FAULT_KINDS.find((each) => each.field === field);
    const known = FAULT_KINDS.map((each) => each.field).join(", ");
    if (kind === undefined) return `There is no fault ${field.slice(0, 40)}; known are ${known}.`;
    if (typeof value !== "number" || !(value >= kind.min && value <= kind.max)) {
      return `${field} is a number from ${kind.min} to ${kind.max}.`;
    }
    values[field] = value;
  }
  return values;
}

/** The faults that hit one request. */
export interface RequestFaults {
  /** Lets the faults of `moment` act, in the order of the table. */
  act(moment: FaultMoment, target: FaultTarget): Promise<FaultResult>;
  /** Is there any fault of this moment? */
  has(moment: FaultMoment): boolean;
}

interface ActivePlan {
  plan: FaultPlan;
  readonly random: Random;
}

/** Which faults are set, and which requests they still hit. */
export class FaultBook {
  #active: ActivePlan[] = [];

  get plans(): readonly FaultPlan[] {
    return this.#active.map(({ plan }) => plan);
  }

  /** Replaces what was set before. */
  set(plans: readonly FaultPlan[]): void {
    this.#active = plans.map((plan) => ({ plan, random: seededRandom(plan.seed) }));
  }

  clear(): void {
    this.#active = [];
  }

  /** The faults for a request that has just arrived: those of the first plan that hits it. */
  take(operation: Operation): RequestFaults {
    const hit = this.#active.find(({ plan, random }) => hits(plan, random, operation));
    if (hit === undefined) return faultsOf({});
    const { values, count } = hit.plan;
    if (count !== null) {
      hit.plan = { ...hit.plan, count: count - 1 };
      if (count === 1) this.#active = this.#active.filter((each) => each !== hit);
    }
    return faultsOf(values);
  }
}

function hits({ operations, percent }: FaultPlan, random: Random, operation: Operation): boolean {
  if (operations.length > 0 && !operations.includes(operation)) return false;
  return percent === 100 || random.next() * 100 < percent;
}

function faultsOf(values: FaultPlan["values"]): RequestFaults {
  const kindsAt = (moment: FaultMoment): FaultKind[] =>
    FAULT_KINDS.filter((kind) => kind.moment === moment && values[kind.field] !== undefined);
  return {
    has: (moment) => kindsAt(moment).length > 0,
    act: async (moment, target) => {
      for (const kind of kindsAt(moment)) {
        if ((await kind.act(values[kind.field] ?? 0, target, values)) === "over") return "over";
      }
      return "go-on";
    },
  };
}
