import type { Verdict, VerdictKind } from "../guard/verdict.ts";

/** What is known about the candidate's health. */
export interface Judged {
  readonly kind: VerdictKind;
  readonly sentence: string;
}

/** Rules that judge what runs in the shadow, where the candidate serves nobody. */
const shadowRules: readonly string[] = ["mismatch", "shadow-error-rate"];

/** How a stage is to be judged. */
export type Exposure = "served" | "shadow" | "none";

/**
 * This process's verdict. Where the candidate serves nobody, the rules about served calls know nothing,
 * and only count when they are alarmed; the shadow's rules speak then, or, without a shadow, nobody.
 *
 * @param verdicts the overall one first, as of `Changeover.verdicts`
 */
export function judgeAlone(verdicts: readonly Verdict[], exposure: Exposure): Judged {
  const [overall, ...rules] = verdicts;
  if (overall === undefined) return { kind: "blind", sentence: "There is no guard." };
  if (overall.kind === "breached" || overall.kind === "suspect") return judgedBy(overall);
  if (exposure === "served") return judgedBy(overall);
  if (exposure === "none") {
    return { kind: "healthy", sentence: "The candidate runs nowhere yet, and no rule is alarmed." };
  }
  const spoken = rules.filter(({ rule, applies }) => applies && shadowRules.includes(rule));
  const first = spoken[0];
  if (first === undefined) {
    return { kind: "inconclusive", sentence: "Nothing has been shadowed yet." };
  }
  return judgedBy(spoken.find(({ kind }) => kind !== "healthy") ?? first);
}

const judgedBy = ({ rule, kind, sentence }: Verdict): Judged => ({
  kind,
  sentence: `${rule}: ${sentence}`,
});

/** What one live instance says of itself. */
export interface InstanceJudgement {
  readonly instance: string;
  readonly kind: VerdictKind;
}

/**
 * The fleet's verdict: nobody may be alarmed, the pooled counts must be healthy, and at least one
 * instance must be healthy by all of its rules, since only rates are pooled. Instances that saw too little
 * by themselves do not matter then.
 */
export function judgeTogether(pooled: Judged, instances: readonly InstanceJudgement[]): Judged {
  const alarmed = instances.find(({ kind }) => kind === "breached" || kind === "suspect");
  if (pooled.kind === "breached" || pooled.kind === "suspect") return pooled;
  if (alarmed !== undefined) {
    return {
      kind: "suspect",
      sentence: `Instance ${alarmed.instance} is ${alarmed.kind}. ${pooled.sentence}`,
    };
  }
  if (instances.length === 0) return { kind: "blind", sentence: "No instance reports." };
  if (pooled.kind !== "healthy") return pooled;
  const healthy = instances.filter(({ kind }) => kind === "healthy").length;
  if (healthy > 0) {
    const sentence = `${pooled.sentence} ${healthy} of ${instances.length} live instances are healthy by all of their rules.`;
    return { kind: "healthy", sentence };
  }
  return {
    kind: "inconclusive",
    sentence: `${pooled.sentence} None of ${instances.length} live instances is healthy by all of its rules yet.`,
  };
}
