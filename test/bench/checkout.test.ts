import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkOut } from "../../bench/compare/checkout.ts";
import { codeOf } from "../../src/base/errors.ts";

const run = promisify(execFile);
let repository: string;

async function git(...args: string[]): Promise<string> {
  const identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"];
  const { stdout } = await run("git", [...identity, ...args], { cwd: repository });
  return stdout.trim();
}

beforeEach(async () => {
  repository = await mkdtemp(join(tmpdir(), "changeover-checkout-test-"));
  await git("init", "--quiet");
  await mkdir(join(repository, "node_modules"));
  await writeFile(join(repository, "node_modules", "package.txt"), "a package");
  await writeFile(join(repository, ".gitignore"), "node_modules\n");
  await writeFile(join(repository, "version.txt"), "first");
  await git("add", ".");
  await git("commit", "--quiet", "-m", "first");
  await writeFile(join(repository, "version.txt"), "second");
});

afterEach(async () => {
  await rm(repository, { recursive: true, force: true });
});

describe("a checkout of another version", () => {
  it("has that commit's files and this checkout's packages, and is gone afterwards", async () => {
    const checkout = await checkOut("HEAD", repository);
    const folder = fileURLToPath(checkout.root);
    expect(checkout.commit).toBe(await git("rev-parse", "HEAD"));
    expect(await readFile(join(folder, "version.txt"), "utf8")).toBe("first");
    expect(await readFile(join(folder, "node_modules", "package.txt"), "utf8")).toBe("a package");
    await checkout.remove();
    expect(existsSync(folder)).toBe(false);
    expect((await git("worktree", "list")).split("\n")).toHaveLength(1);
    expect(existsSync(join(repository, "node_modules", "package.txt"))).toBe(true);
  });

  it("is refused for what is no commit, also for what looks like an option", async () => {
    for (const ref of ["no-such-branch", "--help"]) {
      const error: unknown = await checkOut(ref, repository).catch((thrown: unknown) => thrown);
      expect(codeOf(error)).toBe("BENCH_NO_SUCH_COMMIT");
      expect(String(error)).toMatch(/ Fetch it, or name another one\.$/);
      expect(String(error)).not.toContain("Command failed");
    }
  });
});
