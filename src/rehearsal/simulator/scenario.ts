/** How one number moves over time; `second` counts from the beginning of the traffic it belongs to. */
export type Curve =
  | { readonly shape: "steady"; readonly value: number }
  /** From one value to another in a straight line, and then steady. */
  | {
      readonly shape: "ramp";
      readonly from: number;
      readonly to: number;
      readonly overSeconds: number;
    }
  /** `peak` for `forSeconds` from `atSecond` of every period on, `base` for the rest of it. */
  | {
      readonly shape: "pulse";
      readonly base: number;
      readonly peak: number;
      readonly everySeconds: number;
      readonly atSecond: number;
      readonly forSeconds: number;
    }
  /** A cosine that starts at its low. */
  | {
      readonly shape: "wave";
      readonly low: number;
      readonly high: number;
      readonly periodSeconds: number;
    };

/** What both paths do over time; shares are from 0 to 1. */
export interface TrafficShape {
  /** Share of legacy's calls that fail. */
  readonly legacyErrors: Curve;
  /** Share of the candidate's calls that fail, beside what follows. */
  readonly candidateErrors: Curve;
  /** Share of the candidate's calls that throw an exception which legacy never threw. */
  readonly newExceptions: Curve;
  /** Share of the candidate's calls that come from one single key, every one of which it fails. */
  readonly poison: Curve;
  /** The candidate's durations as a multiple of legacy's. */
  readonly slowdown: Curve;
  /** Used memory as a share of the process's limit; what is above the start is held by candidate calls. */
  readonly memory: Curve;
}

/** The names that `changeover simulate --scenario` knows. */
export type ScenarioName =
  | "healthy"
  | "total-failure"
  | "partial-failure"
  | "slow-leak"
  | "latency-creep"
  | "shared-outage"
  | "new-exception"
  | "flapping"
  | "low-traffic"
  | "poison-user"
  | "tolerable"
  | "shared-blips"
  | "daily-swing";

/** One situation that a policy is tried in. */
export interface Scenario {
  readonly name: ScenarioName;
  /** One clause for people: what happens. */
  readonly what: string;
  /** Multiplies the calls a second of the request. */
  readonly trafficFactor: number;
  /** Before the onset, and for as many days as false trips are counted: no rollback is right here. */
  readonly calm: TrafficShape;
  /** From the onset on; null where nothing begins that a rollback would be right for. */
  readonly harm: TrafficShape | null;
  /**
   * A run without a rollback counts as missed after so many seconds, and once so many candidate calls
   * were due, but after a week at the latest: where calls are rare, an hour shows too few of them to
   * miss anything.
   */
  readonly horizonSeconds: number;
  readonly horizonCalls: number;
  /**
   * `rates`: nothing but error rates matters, so calls may be counted in bulk. `calls`: keys, durations,
   * kinds of errors or memory matter, so each call is shown to the whole guard.
   */
  readonly detail: "rates" | "calls";
}

/** The curve's value at a second. */
export function valueAt(curve: Curve, second: number): number {
  switch (curve.shape) {
    case "steady":
      return curve.value;
    case "ramp": {
      const passed = Math.min(1, Math.max(0, second / curve.overSeconds));
      return curve.from + (curve.to - curve.from) * passed;
    }
    case "pulse": {
      const inPeriod = (second % curve.everySeconds) - curve.atSecond;
      return inPeriod >= 0 && inPeriod < curve.forSeconds ? curve.peak : curve.base;
    }
    case "wave": {
      const turn = Math.cos((2 * Math.PI * second) / curve.periodSeconds);
      return (curve.low + curve.high) / 2 - ((curve.high - curve.low) / 2) * turn;
    }
  }
}
