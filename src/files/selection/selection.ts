import { isCodedError } from "../../base/errors.ts";
import { bytesText } from "../errors.ts";
import type { ProviderName } from "../file-manager.ts";
import type { HealthState } from "../providers/health/health.ts";
import { noThroughput, type Throughput } from "../providers/health/throughput.ts";
import type { ProviderProfile } from "../providers/profiles.ts";
import { type QuotaUse, quotaProblem } from "../providers/steady/quota.ts";
import { checkUpload } from "../providers/upload-check.ts";
import { type Complexity, complexityOf } from "./complexity.ts";
import { type PredictedDuration, predictDuration } from "./duration.ts";

/** What is to be stored, and what for. */
export interface SelectionRequest {
  readonly name: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  /** Default: each provider's own default purpose. */
  readonly purpose?: string;
  /** Taken whenever it can take the file. */
  readonly preference?: ProviderName;
  /** What will be asked about the file. */
  readonly question?: string;
}

/** What is known of one provider right now. */
export interface Candidate {
  readonly profile: ProviderProfile;
  readonly health: HealthState;
  /** Why it is not well; empty when it is. */
  readonly healthReason: string;
  /** The quota that counts for the purpose; null when it is not known. */
  readonly quota: QuotaUse | null;
  readonly throughput: Throughput;
}

/** One step of a decision about one provider, in words. */
export interface SelectionReason {
  readonly provider: ProviderName;
  readonly rule:
    | "type"
    | "size"
    | "purpose"
    | "health"
    | "quota"
    | "preference"
    | "complexity"
    | "fit";
  readonly result: "excluded" | "put-back" | "chosen" | "passed-over";
  /** One sentence without its first word: it continues the provider's name. */
  readonly text: string;
}

/** Who takes the file, and why. */
export interface Selection {
  /** Null when nobody can take it. */
  readonly choice: ProviderName | null;
  readonly purpose: string | null;
  readonly reasons: readonly SelectionReason[];
  /** For the chosen provider. */
  readonly duration: PredictedDuration | null;
  /** Nobody can take it now, but the health or the quota of one may change that. */
  readonly mayChange: boolean;
}

/** Whose turn it is when several could take the file, by what will be asked about it. */
const BY_COMPLEXITY: Readonly<Record<Complexity, ProviderName>> = {
  simple: "kimi",
  moderate: "kimi",
  complex: "glm",
};

/** States in which a provider gets nothing. */
const unusable: readonly HealthState[] = ["down", "unauthorised"];
/** States in which it gets something only when no better one is left. */
const strained: readonly HealthState[] = ["throttled", "slow"];

/**
 * Chooses a provider, first match wins: hard limits of type, size and purpose, health and quota exclude;
 * a strained one is put back behind the others; then the caller's preference; then the kind of question
 * (complex ones to GLM, others to Kimi); then the tightest size limit that the file fits, so that room
 * for larger files is kept; our own storage alone comes last. Pure.
 */
export function selectProvider(
  request: SelectionRequest,
  candidates: readonly Candidate[],
): Selection {
  const reasons: SelectionReason[] = [];
  const able = candidates.filter((each) => {
    const reason = exclusion(request, each);
    if (reason !== null) reasons.push(reason);
    return reason === null;
  });
  const remaining = withoutStrained(able, request, reasons);
  const chosen = preferred(remaining, request, reasons) ?? byQuestion(remaining, request, reasons);
  const choice = chosen ?? byFit(remaining, request, reasons);
  if (choice === null) {
    const mayChange = reasons.some(({ rule }) => rule === "health" || rule === "quota");
    return { choice: null, purpose: null, reasons, duration: null, mayChange };
  }
  const { provider } = choice.profile;
  return {
    choice: provider,
    purpose: purposeFor(request, choice.profile),
    reasons,
    duration: predictDuration({
      provider,
      complexity: complexityOf(request.question ?? ""),
      sizeBytes: request.sizeBytes,
      throughput: choice.throughput ?? noThroughput,
    }),
    mayChange: false,
  };
}

/** The rules that the codes of `checkUpload` stand for. */
const ruleOfCode: Readonly<Record<string, SelectionReason["rule"]>> = {
  FILES_UNKNOWN_PURPOSE: "purpose",
  FILES_BLOCKED_TYPE: "type",
  FILES_UNSUPPORTED_TYPE: "type",
  FILES_EMPTY: "size",
  FILES_TOO_LARGE: "size",
};

function exclusion(request: SelectionRequest, candidate: Candidate): SelectionReason | null {
  const { profile, health, healthReason, quota } = candidate;
  const { provider } = profile;
  const excluded = (rule: SelectionReason["rule"], text: string): SelectionReason => ({
    provider,
    rule,
    result: "excluded",
    text,
  });
  const limit = limitProblem(request, profile);
  if (limit !== null) return excluded(limit.rule, limit.text);
  if (unusable.includes(health)) return excluded("health", `is ${health}: ${healthReason}`);
  const full = quota === null ? null : quotaProblem(quota, request.sizeBytes);
  return full === null ? null : excluded("quota", `has no room: ${full}`);
}

function limitProblem(
  request: SelectionRequest,
  profile: ProviderProfile,
): Pick<SelectionReason, "rule" | "text"> | null {
  const { name, mimeType, sizeBytes } = request;
  const { provider } = profile;
  const purpose = purposeFor(request, profile);
  try {
    checkUpload(profile, { provider, purpose, name, mimeType, sizeBytes });
    return null;
  } catch (error) {
    const rule = isCodedError(error) ? ruleOfCode[error.code] : undefined;
    if (rule === undefined) throw error;
    return { rule, text: `cannot take it: ${(error as Error).message}` };
  }
}

function withoutStrained(
  able: readonly Candidate[],
  { preference }: SelectionRequest,
  reasons: SelectionReason[],
): readonly Candidate[] {
  const rested = able.filter(
    ({ health, profile }) => !strained.includes(health) || profile.provider === preference,
  );
  // Our own storage alone is no replacement for a provider that is only slow.
  if (rested.every(({ profile }) => profile.provider === "none")) return able;
  for (const { profile, health, healthReason } of able) {
    if (rested.some((each) => each.profile === profile)) continue;
    const text = `is ${health} and stands back: ${healthReason}`;
    reasons.push({ provider: profile.provider, rule: "health", result: "put-back", text });
  }
  return rested;
}

function preferred(
  remaining: readonly Candidate[],
  { preference }: SelectionRequest,
  reasons: SelectionReason[],
): Candidate | null {
  if (preference === undefined) return null;
  const found = remaining.find(({ profile }) => profile.provider === preference) ?? null;
  const result = found === null ? "passed-over" : "chosen";
  const text =
    found === null ? "was asked for and cannot take it" : "was asked for and can take it";
  reasons.push({ provider: preference, rule: "preference", result, text });
  return found;
}

function byQuestion(
  remaining: readonly Candidate[],
  { question, sizeBytes }: SelectionRequest,
  reasons: SelectionReason[],
): Candidate | null {
  if (question === undefined) return null;
  const complexity = complexityOf(question);
  const provider = BY_COMPLEXITY[complexity];
  const found = remaining.find(({ profile }) => profile.provider === provider) ?? null;
  const rule = "complexity";
  const what = `a ${complexity} question of ${question.length} characters`;
  if (found === null) {
    reasons.push({ provider, rule, result: "passed-over", text: `would get ${what}` });
    return null;
  }
  const { throughput } = found;
  const late = predictDuration({ provider, complexity, sizeBytes, throughput }).isLate;
  const others = remaining.filter(
    ({ profile }) => profile !== found.profile && profile.provider !== "none",
  );
  if (late && others.length > 0) {
    const text = `would get ${what}, but is expected to time out on it`;
    reasons.push({ provider, rule, result: "passed-over", text });
    return others[0] ?? null;
  }
  reasons.push({ provider, rule, result: "chosen", text: `gets ${what}` });
  return found;
}

function byFit(
  remaining: readonly Candidate[],
  request: SelectionRequest,
  reasons: SelectionReason[],
): Candidate | null {
  const room = ({ profile }: Candidate): number =>
    profile.provider === "none" ? Number.POSITIVE_INFINITY : maxBytesFor(request, profile);
  const [first] = [...remaining].sort((one, other) => room(one) - room(other));
  if (first === undefined) return null;
  const { profile } = first;
  const text =
    profile.provider === "none"
      ? "keeps it in our own storage alone: no AI provider can take it"
      : `takes it with the least room to spare: up to ${bytesText(maxBytesFor(request, profile))}`;
  reasons.push({ provider: profile.provider, rule: "fit", result: "chosen", text });
  return first;
}

/** A purpose that only one provider knows still lets the others be judged by it. */
function purposeFor({ purpose }: SelectionRequest, profile: ProviderProfile): string {
  return purpose ?? profile.defaultPurpose;
}

function maxBytesFor(request: SelectionRequest, profile: ProviderProfile): number {
  const purpose = purposeFor(request, profile);
  const limits = Object.hasOwn(profile.purposes, purpose) ? profile.purposes[purpose] : undefined;
  return limits?.maxBytes ?? 0;
}
