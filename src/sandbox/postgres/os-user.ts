import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { CodedError } from "../../base/errors.ts";

/** Under which user Postgres's programs run, and how a command line gets there. */
export interface OsUser {
  /** Null: this process's own user. */
  readonly ids: { readonly uid: number; readonly gid: number } | null;
  /** What has to stand before a program and its arguments; usually nothing. */
  readonly prefix: readonly string[];
}

/** What runs one of Postgres's programs under the right user. */
export interface Launch {
  readonly file: string;
  readonly args: readonly string[];
  readonly ids: { readonly uid: number; readonly gid: number } | null;
}

const SELF: OsUser = { ids: null, prefix: [] };
/** Unprivileged users that a Unix system has without our doing, the best first. */
const CANDIDATES: readonly string[] = ["postgres", "_postgres", "nobody"];
const PROBE_LIMIT_MS = 5000;

/** How `program` is started as `user`. */
export function launchAs(user: OsUser, program: string, args: readonly string[]): Launch {
  const [file = program, ...rest] = [...user.prefix, program, ...args];
  return { file, args: rest, ids: user.prefix.length === 0 ? user.ids : null };
}

/**
 * The user for Postgres on a data folder below `folder`, which is created. Postgres refuses to run as
 * root, so root hands over to an unprivileged user that the system already has (no user is made):
 * `folder` becomes passable for that user's group, and what is above it has to be passable already or
 * is passed with the right to search folders (`setpriv`), as below a home folder of root's. Throws
 * `SANDBOX_POSTGRES_USER` when neither works. `program` is what must be runnable.
 */
export function osUserFor(folder: string, program: string): OsUser {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (process.getuid?.() !== 0) return SELF;
  const ids = unprivilegedIds();
  if (ids === null) {
    throw refused(`this system has none of the users ${CANDIDATES.join(", ")}`);
  }
  for (const each of [dirname(folder), folder]) letGroupPass(each, ids.gid);
  const { uid, gid } = ids;
  const plain: OsUser = { ids, prefix: [] };
  const searching: OsUser = {
    ids,
    prefix: ["setpriv", "--reuid", String(uid), "--regid", String(gid), "--clear-groups"].concat([
      "--inh-caps",
      "+dac_read_search",
      "--ambient-caps",
      "+dac_read_search",
    ]),
  };
  const works = [plain, searching].find((user) => canRun(user, program, folder));
  if (works !== undefined) return works;
  throw refused(
    `the user ${uid} can reach ${folder} or ${program} neither directly nor with setpriv (a folder above them keeps other users out)`,
  );
}

/** Gives a folder to the user, who then is the only one who can look into it. */
export function giveFolder(folder: string, { ids }: OsUser): void {
  if (ids !== null) chownSync(folder, ids.uid, ids.gid);
}

function unprivilegedIds(): OsUser["ids"] {
  const file = "/etc/passwd";
  const rows = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
  const users = new Map(rows.map((row) => [row.split(":")[0], row.split(":")]));
  for (const name of CANDIDATES) {
    const [, , uid, gid] = users.get(name) ?? [];
    if (uid !== undefined && gid !== undefined && Number(uid) > 0) {
      return { uid: Number(uid), gid: Number(gid) };
    }
  }
  return null;
}

/**
 * Passable, not readable: the user's group may go through to what it owns, and sees nothing else. A
 * folder that everybody can pass, or that another group was given, stays as it is.
 */
function letGroupPass(folder: string, gid: number): void {
  const { mode, gid: group } = statSync(folder);
  if ((mode & 0o001) !== 0 || (group !== 0 && group !== gid)) return;
  chownSync(folder, 0, gid);
  chmodSync(folder, (mode & 0o7700) | 0o010);
}

/** Tries it: modes alone do not tell (access lists, read-only mounts, security modules). */
function canRun(user: OsUser, program: string, folder: string): boolean {
  const runs = (name: string, args: readonly string[]): boolean => {
    const { file, args: all, ids } = launchAs(user, name, args);
    const options = { timeout: PROBE_LIMIT_MS, stdio: "ignore" as const, cwd: "/" };
    const env = { PATH: "/usr/bin:/bin:/usr/sbin:/sbin" };
    return spawnSync(file, all, { ...options, env, ...ids }).status === 0;
  };
  return runs(program, ["--version"]) && runs("ls", ["-d", `${folder}/.`]);
}

function refused(why: string): CodedError {
  return new CodedError(
    "SANDBOX_POSTGRES_USER",
    `Postgres does not run as root, and no other user can run it here: ${why}. Start changeover as another user or with --data-dir below a folder that everybody can pass, or use --flags file.`,
  );
}
