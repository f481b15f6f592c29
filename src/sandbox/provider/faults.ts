import { type Clock, sleep } from "../../base/clock.ts";

/** Which operation of the file API a request is. */
export type Operation = "upload" | "list" | "retrieve" | "content" | "delete";

/** When a fault acts: before anything is read, while the body arrives, or instead of the answer to work that is done. */
export type FaultMoment = "arrival" | "bytes" | "reply";

/** What a fault can do to the request it acts on. */
export interface FaultTarget {
  readonly clock: Clock;
  /** Bytes of the request's body so far. */
  readonly bytesReceived: number;
  /** Answers with the provider's documented error for this status. */
  answerError(status: number): void;
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
  act(value: number, target: FaultTarget): FaultResult | Promise<FaultResult>;
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
    act: (status, target) => {
      target.answerError(status);
      return "over";
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
}

/** Reads a plan from JSON: the numbers of the table, `count` and `operations`. A text says what is wrong. */
export function parseFaultPlan(json: unknown): FaultPlan | string {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    return "Faults are an object.";
  const { count = null, operations = [], ...rest } = json as Record<string, unknown>;
  if (count !== null && !(Number.isInteger(count) && Number(count) >= 1)) {
    return "count is a whole number of at least 1.";
  }
  if (!Array.isArray(operations) || operations.some((each) => !OPERATIONS.includes(each))) {
    return `operations is a list of ${OPERATIONS.join(", ")}.`;
  }
  const values: Record<string, number> = {};
  for (const [field, value] of Object.entries(rest)) {
    const kind = FAULT_KINDS.find((each) => each.field === field);
    const known = FAULT_KINDS.map((each) => each.field).join(", ");
    if (kind === undefined) return `There is no fault ${field.slice(0, 40)}; known are ${known}.`;
    if (typeof value !== "number" || !(value >= kind.min && value <= kind.max)) {
      return `${field} is a number from ${kind.min} to ${kind.max}.`;
    }
    values[field] = value;
  }
  return { values, count: count as number | null, operations };
}

/** The faults that hit one request. */
export interface RequestFaults {
  /** Lets the faults of `moment` act, in the order of the table. */
  act(moment: FaultMoment, target: FaultTarget): Promise<FaultResult>;
  /** Is there any fault of this moment? */
  has(moment: FaultMoment): boolean;
}

/** Which faults are set, and which requests they still hit. */
export class FaultBook {
  #plan: FaultPlan | undefined;

  get plan(): FaultPlan | undefined {
    return this.#plan;
  }

  /** Replaces what was set before. */
  set(plan: FaultPlan): void {
    this.#plan = plan;
  }

  clear(): void {
    this.#plan = undefined;
  }

  /** The faults for a request that has just arrived; counts it. */
  take(operation: Operation): RequestFaults {
    const plan = this.#plan;
    const hits =
      plan !== undefined && (plan.operations.length === 0 || plan.operations.includes(operation));
    if (hits && plan.count !== null) {
      const left = plan.count - 1;
      this.#plan = left === 0 ? undefined : { ...plan, count: left };
    }
    return faultsOf(hits ? plan.values : {});
  }
}

function faultsOf(values: FaultPlan["values"]): RequestFaults {
  const kindsAt = (moment: FaultMoment): FaultKind[] =>
    FAULT_KINDS.filter((kind) => kind.moment === moment && values[kind.field] !== undefined);
  return {
    has: (moment) => kindsAt(moment).length > 0,
    act: async (moment, target) => {
      for (const kind of kindsAt(moment)) {
        if ((await kind.act(values[kind.field] ?? 0, target)) === "over") return "over";
      }
      return "go-on";
    },
  };
}
