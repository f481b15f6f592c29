import { execFile } from "node:child_process";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { CodedError, toError } from "../../src/base/errors.ts";

/** Another version of this repository, ready to be imported. */
export interface Checkout {
  /** The full commit. */
  readonly commit: string;
  /** Ends with a slash. */
  readonly root: URL;
  remove(): Promise<void>;
}

const run = promisify(execFile);
const here = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Puts a commit into a git worktree in the folder for temporary files, with the packages of
 * `repository` (default: this checkout).
 * Throws `BENCH_NO_SUCH_COMMIT`.
 */
export async function checkOut(ref: string, repository: string = here): Promise<Checkout> {
  const git = async (...args: string[]): Promise<string> =>
    (await run("git", args, { cwd: repository })).stdout.trim();
  const commit = await git("rev-parse", "--verify", "--end-of-options", `${ref}^{commit}`).catch(
    (cause: unknown) => {
      throw new CodedError(
        "BENCH_NO_SUCH_COMMIT",
        `There is no commit ${JSON.stringify(ref)} here: ${saidBy(cause)} Fetch it, or name another one.`,
        { cause },
      );
    },
  );
  const folder = await mkdtemp(join(tmpdir(), "changeover-compare-"));
  const tree = join(folder, "tree");
  const remove = async (): Promise<void> => {
    await git("worktree", "remove", "--force", tree).catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
    await git("worktree", "prune").catch(() => undefined);
  };
  try {
    await git("worktree", "add", "--detach", tree, commit);
    await symlink(join(repository, "node_modules"), join(tree, "node_modules"), "dir");
    return { commit, root: pathToFileURL(`${tree}/`), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** What git wrote, without the command that everybody can see in the source. */
function saidBy(cause: unknown): string {
  const { stderr } = cause as { readonly stderr?: unknown };
  const said = typeof stderr === "string" && stderr !== "" ? stderr : toError(cause).message;
  return said.trim().replace(/[^.]$/, "$&.");
}
