import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { totalmem } from "node:os";
import type { Config } from "../../app/config.ts";
import { bytesText } from "../terminal/text.ts";
import { type Check, fail, ok, warn } from "./check.ts";

/** The oldest Node that runs this: `engines` of package.json. */
const OLDEST_NODE = [22, 19] as const;
/** Below this, a legacy upload of a common size no longer fits, in bytes. */
const SMALL_BUDGET_BYTES = 64 * 2 ** 20;
/** Open files below which many connections at once fail. */
const FEW_OPEN_FILES = 1024;
/** Before this moment no release of this program existed: the clock must be wrong. */
const FIRST_RELEASE_MS = Date.UTC(2026, 10, 1);

/** Is this Node, as in `process.versions.node`, new enough? */
export function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE;
  const enough = major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
  if (enough) return ok("node", `Node ${version}.`);
  return fail("node", `Node ${version} is too old.`, "Install Node 24, or 22.19 or newer.");
}

/** The memory that calls may claim, against what the process may have. */
export function checkMemory(config: Config): Check {
  const allowed = process.constrainedMemory();
  const limit = allowed > 0 && allowed < totalmem() ? allowed : totalmem();
  const quarter = Math.floor(limit / 4);
  const legacy = config.legacyMemoryBytes ?? quarter;
  const candidate = config.candidateMemoryBytes ?? quarter;
  const facts = `${bytesText(limit)} of memory; calls may claim ${bytesText(legacy)} on legacy and ${bytesText(candidate)} on the candidate.`;
  if (legacy + candidate > limit) {
    return fail(
      "memory",
      `${facts} That is more than there is.`,
      "Lower CHANGEOVER_LEGACY_MEMORY_BYTES and CHANGEOVER_CANDIDATE_MEMORY_BYTES.",
    );
  }
  if (legacy < SMALL_BUDGET_BYTES) {
    return warn(
      "memory",
      facts,
      "Legacy holds whole files in memory: give the process more, or move uploads to the candidate first.",
    );
  }
  return ok("memory", facts);
}

/** Linux only: the limit of open files and connections; null elsewhere. */
export async function checkOpenFiles(): Promise<Check | null> {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => "");
  const found = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  if (found === undefined) return null;
  const most = found === "unlimited" ? Number.POSITIVE_INFINITY : Number(found);
  if (most >= FEW_OPEN_FILES) return ok("open files", `At most ${found} open files.`);
  return warn(
    "open files",
    `At most ${found} open files.`,
    `Allow at least ${FEW_OPEN_FILES}: ulimit -n ${FEW_OPEN_FILES}.`,
  );
}

/** Is the wall clock plausible? `diskMs` is when the disk says that a file was written just now. */
export function checkClock(nowMs: number, diskMs: number | null): Check {
  const now = new Date(nowMs).toISOString();
  if (nowMs < FIRST_RELEASE_MS) {
    return fail("clock", `The clock says ${now}.`, "Set the clock; use NTP.");
  }
  if (diskMs !== null && Math.abs(diskMs - nowMs) > 5000) {
    return warn(
      "clock",
      `The clock says ${now}, the disk of the data folder ${new Date(diskMs).toISOString()}.`,
      "Set both machines' clocks with NTP, or use a local disk: left-over files are judged by their age.",
    );
  }
  return ok("clock", `The clock says ${now}.`);
}

interface OptionalPackage {
  readonly name: string;
  readonly purpose: string;
  /** Do only those miss it who asked for it? */
  readonly extra?: true;
}

/** What a core install does not bring: the optional peer dependencies of package.json. */
export const optionalPackages: readonly OptionalPackage[] = [
  { name: "@supabase/supabase-js", purpose: "storing files" },
  { name: "undici", purpose: "storing files, --gateway" },
  { name: "file-type", purpose: "types of files by their bytes" },
  { name: "mime", purpose: "types of files by their names" },
  { name: "p-limit", purpose: "several files at once" },
  { name: "p-retry", purpose: "repeating what failed" },
  { name: "unleash-client", purpose: "judging flags" },
  { name: "fastify", purpose: "the gateway" },
  { name: "@fastify/busboy", purpose: "uploads as forms" },
  { name: "pino", purpose: "the log" },
  { name: "cli-progress", purpose: "progress bars" },
  { name: "uplot", purpose: "charts in the console", extra: true },
  { name: "pg", purpose: "a fleet", extra: true },
  { name: "pg-boss", purpose: "a backfill on several machines", extra: true },
  { name: "synckit", purpose: "changeover/sync", extra: true },
  { name: "@openfeature/server-sdk", purpose: "changeover/openfeature", extra: true },
  { name: "@opentelemetry/api", purpose: "changeover/opentelemetry", extra: true },
];

/** Which packages that a core install does not bring are here; `has` says which are (default: looks). */
export function checkPackages(has: (name: string) => boolean = isInstalled): Check {
  const missing = optionalPackages.filter(({ name }) => !has(name));
  if (missing.length === 0) return ok("packages", "Every optional package is installed.");
  const what = missing.map(({ name, purpose }) => `${name} (${purpose})`).join(", ");
  if (missing.every(({ extra }) => extra)) {
    return ok("packages", `All that files and flags need; not installed: ${what}.`);
  }
  const names = missing.map(({ name }) => name).join(" ");
  return warn("packages", `Not installed: ${what}.`, `npm install ${names}`);
}

function isInstalled(name: string): boolean {
  const { resolve } = createRequire(import.meta.url);
  try {
    resolve(name);
    return true;
  } catch (error) {
    // A package for imports only cannot be resolved this way, but it is there.
    return (error as NodeJS.ErrnoException).code === "ERR_PACKAGE_PATH_NOT_EXPORTED";
  }
}
