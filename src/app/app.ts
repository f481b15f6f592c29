import type { Logger } from "../base/logger.ts";
import type { CloseResult } from "../base/resources.ts";
import type { FileService } from "../files/file-service.ts";
import type { Spool } from "../files/spool.ts";
import type { Config } from "./config.ts";
import type { Control } from "./control.ts";
import type { Snapshot } from "./snapshot.ts";

/** Can calls be served, and if not, why not? */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

/** The assembled product, without any door to the outside. */
export interface App {
  readonly config: Config;
  readonly logger: Logger;
  readonly files: FileService;
  readonly spool: Spool;
  readonly control: Control;
  /** Token of the control API; compare it in constant time and never log it. */
  readonly operatorToken: string;
  /** Bearer key to owner, or null when there is one owner (`local`) and any key will do. */
  readonly owners: ReadonlyMap<string, string> | null;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  snapshot(): Snapshot;
  readiness(): Readiness;
  /** Closes everything it opened, in reverse order, each within its time limit. Never rejects. */
  close(): Promise<readonly CloseResult[]>;
}
