import type { ErrorProvider } from "../../provider-errors.ts";
import type { Health } from "../health/health.ts";
import type { Throughput } from "../health/throughput.ts";
import type { GateState } from "./gate.ts";
import type { QuotaUse } from "./quota.ts";

/** What became of uploads whose replies were lost. */
export interface LostReplies {
  /** The file was there, once, and nothing was sent again. */
  readonly adopted: number;
  /** It was not there and was sent again. */
  readonly absent: number;
  /** It could not be told apart from others; what was sent again may be there twice. */
  readonly ambiguous: number;
}

/** A provider right now, as plain data: for `status`, metrics and selection. */
export interface ProviderStatus {
  readonly provider: ErrorProvider;
  readonly health: Health;
  readonly throughput: Throughput;
  readonly queue: GateState;
  /** Every quota that was counted so far. */
  readonly quotas: readonly QuotaUse[];
  /** Retries made since the start, and how many more could be made right now. */
  readonly retries: { readonly made: number; readonly left: number };
  readonly lostReplies: LostReplies;
}
