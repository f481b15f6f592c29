/** The rules of the guard. Each can be switched off in the policy. */
export type RuleName =
  | "error-rate"
  | "timeout-rate"
  | "latency"
  | "new-exception"
  | "mismatch"
  | "shadow-error-rate"
  | "memory"
  | "exposure-budget"
  | "fatal";

/**
 * `healthy`: positive evidence that the increase is below the limit. `suspect`: worse, but not (or not
 * provably) beyond the limit; or legacy is as bad. `breached`: beyond the limit. `inconclusive`: too few
 * samples. `blind`: no fresh data. Only `healthy` may advance a rollout.
 */
export type VerdictKind = "healthy" | "suspect" | "breached" | "inconclusive" | "blind";

/** What the guard does about it, or asks others to do. */
export type Action = "rollback" | "hold" | "alert" | "stop-shadow";

/** What one rule says about one operation, with its evidence. */
export interface Verdict {
  readonly operation: string;
  /** The rule, or `overall` when no rule is switched on. */
  readonly rule: RuleName | "overall";
  readonly kind: VerdictKind;
  /** What is to be done now; `none` while all is well or nothing can be told. */
  readonly action: Action | "none";
  /** Somebody should look now. */
  readonly page: boolean;
  /** False when the rule has nothing to judge here (no deadline declared, nothing compared yet). */
  readonly applies: boolean;
  /** The measured value in the rule's unit: a share from 0 to 1, bytes, or calls; null when unknown. */
  readonly observed: number | null;
  /** The value that `observed` must stay below, in the same unit. */
  readonly limit: number | null;
  /** How many candidate calls (comparisons, samples) `observed` rests on. */
  readonly samples: number;
  /**
   * Of a rule that compares rates: was a call of legacy ever counted by it? Of `latency`, false until it is
   * known how fast legacy is. Left out by rules that do not compare rates.
   */
  readonly legacyKnown?: boolean;
  /**
   * When it began, in milliseconds since the Unix epoch: the onset of what is wrong, else since when the
   * rule has been of this kind. Null only where no rule is switched on.
   */
  readonly sinceMs: number | null;
  /** The verdict in one sentence, with its numbers. */
  readonly sentence: string;
}

/** A verdict before it knows which operation it is about. */
export type Judgement = Omit<Verdict, "operation" | "rule">;

const severity: Readonly<Record<VerdictKind, number>> = {
  healthy: 0,
  inconclusive: 1,
  blind: 2,
  suspect: 3,
  breached: 4,
};

/**
 * Who speaks first when several rules are equally bad; 1 comes first. `amiss` (suspect, breached): what
 * harms callers soonest, and what names its cause. `calm` (healthy, inconclusive, blind): what rests on
 * the most calls; a rule that waits for rare events has little to say until one comes.
 */
const speaks: Readonly<Record<RuleName, { readonly amiss: number; readonly calm: number }>> = {
  fatal: { amiss: 1, calm: 9 },
  memory: { amiss: 2, calm: 8 },
  "error-rate": { amiss: 3, calm: 1 },
  "timeout-rate": { amiss: 4, calm: 2 },
  "new-exception": { amiss: 5, calm: 6 },
  "exposure-budget": { amiss: 6, calm: 7 },
  latency: { amiss: 7, calm: 3 },
  mismatch: { amiss: 8, calm: 4 },
  "shadow-error-rate": { amiss: 9, calm: 5 },
};

function speaksBefore(one: Verdict, other: Verdict): boolean {
  if (one.kind !== other.kind) return severity[one.kind] > severity[other.kind];
  if (one.rule === "overall" || other.rule === "overall") return false;
  const which = severity[one.kind] >= severity.suspect ? "amiss" : "calm";
  return speaks[one.rule][which] < speaks[other.rule][which];
}

/**
 * The worst of the verdicts that apply, whatever their order; of equally bad ones the first of a fixed
 * order of rules. A breach whose action is not a rollback counts as `suspect` here: it holds a rollout and
 * does not undo it. No rule at all is `inconclusive`, never healthy.
 */
export function worst(operation: string, verdicts: readonly Verdict[]): Verdict {
  let found: Verdict | null = null;
  for (const verdict of verdicts) {
    if (!verdict.applies) continue;
    const degraded = verdict.kind === "breached" && verdict.action !== "rollback";
    const each: Verdict = degraded ? { ...verdict, kind: "suspect" } : verdict;
    if (found === null || speaksBefore(each, found)) found = each;
  }
  return (
    found ?? {
      operation,
      rule: "overall",
      kind: "inconclusive",
      action: "none",
      page: false,
      applies: true,
      observed: null,
      limit: null,
      samples: 0,
      sinceMs: null,
      sentence: "No rule is switched on that could judge this operation.",
    }
  );
}
