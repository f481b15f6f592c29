import { CodedError } from "../base/errors.ts";
import { currentScope } from "../migration/call.ts";
import { callsRunning } from "../migration/operation.ts";

/**
 * Throws `FILES_SYNC_IN_ASYNC_CONTEXT` where standing still would hold up others: inside a scope, while
 * a migrated call runs in this thread, or where this thread listens on a TCP port. `instead` is what to
 * await in its place.
 */
export function checkBlocking(called: string, instead: string): void {
  const why = reason();
  if (why === null) return;
  throw new CodedError(
    "FILES_SYNC_IN_ASYNC_CONTEXT",
    `${called} would hold up everything else: ${why}. Use \`await ${instead}\` of changeover/files, or pass allowBlocking: true.`,
    { details: { effect: "absent" } },
  );
}

function reason(): string | null {
  if (currentScope() !== undefined) return "it was called inside a changeover scope";
  if (callsRunning() > 0) return "changeover calls are running in this process";
  // Documented as experimental since Node 17.3; a server on a Unix socket looks like any other pipe.
  if (process.getActiveResourcesInfo().includes("TCPServerWrap")) {
    return "this process is a server that listens on a TCP port";
  }
  return null;
}
