import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { codeOf } from "../../base/errors.ts";

/** A process, told from a later one that was given the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in the words of the operating system; null where that cannot be found out. */
  readonly startedAs: string | null;
}

/** The identity of a running process, or null when there is none with this number. */
export async function identify(pid: number): Promise<ProcessIdentity | null> {
  if (!Number.isSafeInteger(pid) || pid <= 0 || !exists(pid)) return null;
  const startedAs = (await fromProc(pid)) ?? (await fromPs(pid));
  return startedAs === "gone" ? null : { pid, startedAs };
}

/** Is exactly this process still running? */
export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  const now = await identify(identity.pid);
  if (now === null) return false;
  return identity.startedAs === null || now.startedAs === null
    ? true
    : identity.startedAs === now.startedAs;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It exists and belongs to somebody else.
    return codeOf(error) === "EPERM";
  }
}

/**
 * Linux: field 22 of /proc/<pid>/stat, in clock ticks since the boot, with the boot's own id
 * (proc(5)). A zombie counts as gone: it holds nothing any more.
 */
async function fromProc(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "");
    // The second field is the program's name in brackets, which may hold spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? "gone" : `${boot.trim()}/${fields[19] ?? ""}`;
  } catch {
    return null;
  }
}

/** Elsewhere: `ps -o lstart`, which every Unix has. */
function fromPs(pid: number): Promise<string | null> {
  return new Promise((resolve) => {
    execFile("ps", ["-o", "lstart=", "-p", String(pid)], { timeout: 2000 }, (error, stdout) => {
      const text = stdout.trim();
      resolve(error === null && text !== "" ? text : null);
    });
  });
}
