import { silentLogger } from "./base/logger.ts";
import { RunningChangeover } from "./changeover/running-changeover.ts";
import type { Changeover, ChangeoverOptions } from "./changeover/surface.ts";
import { staticFlags } from "./flags/static-flags.ts";
import { readLatches } from "./guard/fleet/latch-keeper.ts";
import { MemoryLatchStore } from "./migration/latch.ts";

export type { Clock } from "./base/clock.ts";
export { CodedError, isCodedError } from "./base/errors.ts";
export type { Logger } from "./base/logger.ts";
export type { Change, Changeover, ChangeoverOptions } from "./changeover/surface.ts";
export { changeoverVersion } from "./changeover/version.ts";
export { FileJournal } from "./disk/file-journal.ts";
export { FileLatchStore } from "./disk/file-latch-store.ts";
export { FileMismatchStore } from "./disk/mismatch-store.ts";
export { type FileFlagsOptions, fileFlags } from "./flags/file-flags.ts";
export { type StaticFlag, staticFlags } from "./flags/static-flags.ts";
export { defaultPolicy, type Policy, type PolicyInput, parsePolicy } from "./guard/policy.ts";
export type { RollbackReport } from "./guard/rollback.ts";
export type { Verdict } from "./guard/verdict.ts";
export type { AdmissionLimits } from "./migration/admission/path-budgets.ts";
export type { Answered, Call, CallOptions, Path } from "./migration/call.ts";
export type { Decision, DecisionReason } from "./migration/decision.ts";
export type { FlagControl, FlagSource, FlagState } from "./migration/flags.ts";
export type { Fleet, InstanceStatus, Quorum } from "./migration/fleet.ts";
export type { Actor, Journal, JournalEntry, JournalQuery } from "./migration/journal.ts";
export type { LatchRecord, LatchStore } from "./migration/latch.ts";
export type { Observation } from "./migration/observation.ts";
export type {
  Cost,
  MigratedFunction,
  OperationDeclaration,
  OperationDefinition,
} from "./migration/operation.ts";
export type { Outcome } from "./migration/outcome.ts";
export type { ShadowBudget } from "./shadow/budget.ts";
export type { Mismatch, MismatchCase } from "./shadow/cases/mismatch-case.ts";
export type { MismatchCases } from "./shadow/cases/mismatch-cases.ts";
export { type Replay, replayInput } from "./shadow/cases/replay.ts";
export type { VitestOptions } from "./shadow/cases/vitest-file.ts";
export type { CaseStore } from "./shadow/mismatch-log.ts";
export type { NoiseField, NoiseLimits } from "./shadow/noise.ts";

/**
 * Starts a changeover: reads the latches and the flags first, so that nothing runs on the candidate that
 * was rolled back before. Latches that cannot be read count as tripped: everything runs on legacy, and
 * the reason is in the log and in the status. A fleet that cannot be read is waited for on legacy, five
 * seconds at most. Rejects with `FLAGS_…` or `GUARD_INVALID_POLICY` for what
 * waiting cannot mend.
 */
export async function createChangeover(options: ChangeoverOptions = {}): Promise<Changeover> {
  const flags = options.flags ?? staticFlags();
  const latchStore = options.latchStore ?? new MemoryLatchStore();
  const logger = options.logger ?? silentLogger;
  const [latches] = await Promise.all([readLatches(latchStore, logger), flags.ready()]);
  const changeover = new RunningChangeover({ ...options, flags, latchStore }, latches);
  await changeover.recall();
  return changeover;
}
