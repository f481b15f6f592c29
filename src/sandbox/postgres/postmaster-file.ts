import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readlinkSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";

/** How long an orphan gets to stop by itself, then to stop at once, in milliseconds. */
const FAST_LIMIT_MS = 3000;
const IMMEDIATE_LIMIT_MS = 2000;
const LOOK_EVERY_MS = 50;

/**
 * Ends the Postgres that an earlier run left behind on `dataFolder` (its parents were killed), and
 * removes its `postmaster.pid` when that names a process that is something else by now. Only a process
 * that really is the Postgres of this folder is touched. Returns the ended process's id, or null.
 */
export async function clearOrphan(dataFolder: string, clock: Clock): Promise<number | null> {
  const file = join(dataFolder, "postmaster.pid");
  const pid = existsSync(file) ? Number(readFileSync(file, "utf8").split("\n")[0]) : Number.NaN;
  if (!Number.isSafeInteger(pid) || pid <= 1) {
    // A file that a crash left half-written: Postgres would refuse to start because of it.
    rmSync(file, { force: true });
    return null;
  }
  if (!isPostgresOf(pid, dataFolder)) {
    rmSync(file, { force: true });
    return null;
  }
  // Postgres's own signals: SIGINT rolls back and stops cleanly, SIGQUIT stops at once.
  for (const [signal, limitMs] of [
    ["SIGINT", FAST_LIMIT_MS],
    ["SIGQUIT", IMMEDIATE_LIMIT_MS],
    ["SIGKILL", IMMEDIATE_LIMIT_MS],
  ] as const) {
    signalTo(pid, signal);
    if (await isGone(pid, dataFolder, { clock, limitMs })) return pid;
  }
  return pid;
}

async function isGone(
  pid: number,
  dataFolder: string,
  { clock, limitMs }: { readonly clock: Clock; readonly limitMs: number },
): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < limitMs; waitedMs += LOOK_EVERY_MS) {
    if (!isPostgresOf(pid, dataFolder)) return true;
    await new Promise<void>((resolve) => clock.after(LOOK_EVERY_MS, resolve, true));
  }
  return false;
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just gone.
  }
}

/** Postgres works in its data folder, and names it on its command line. */
function isPostgresOf(pid: number, dataFolder: string): boolean {
  const command = commandLine(pid);
  if (!/\bpostgres\b/.test(command)) return false;
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataFolder);
  } catch {
    return command.includes(dataFolder);
  }
}

/** Empty for a process that is gone, and for one that has ended and waits to be collected. */
function commandLine(pid: number): string {
  try {
    if (existsSync("/proc/self")) {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    }
    return execFileSync("/bin/ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return "";
  }
}
