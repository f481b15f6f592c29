import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { access, rm, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Config } from "../../app/config.ts";
import { operatorTokenFile, readOwners } from "../../app/secrets.ts";
import { codeOf, toError } from "../../base/errors.ts";
import { isOpenToOthers } from "../process/data-folder.ts";
import { bytesText } from "../terminal/text.ts";
import { type Check, fail, ok, warn } from "./check.ts";

/** Below this a backend cannot even keep its tables, in bytes. */
const LITTLE_DISK_BYTES = 100 * 2 ** 20;

/** The data folder, and when the disk says that a file was written into it just now. */
export async function checkDataFolder(
  dataDir: string,
): Promise<{ readonly checks: readonly Check[]; readonly diskMs: number | null }> {
  const stats = await stat(dataDir).catch(() => null);
  if (stats === null) return { checks: [await checkParent(dataDir)], diskMs: null };
  if (!stats.isDirectory()) {
    const advice = "Name a folder with --data-dir or CHANGEOVER_DATA_DIR.";
    return { checks: [fail("data folder", `${dataDir} is not a folder.`, advice)], diskMs: null };
  }
  const probe = join(dataDir, `.doctor-${randomUUID()}`);
  try {
    await writeFile(probe, "", { mode: 0o600 });
    const { mtimeMs } = await stat(probe);
    return { checks: [await checkModes(dataDir)], diskMs: mtimeMs };
  } catch (error) {
    const detail = `${dataDir} cannot be written (${codeOf(error)}).`;
    const advice = `Give this user the right to write it: chown -R $(id -u) ${dataDir}`;
    return { checks: [fail("data folder", detail, advice)], diskMs: null };
  } finally {
    await rm(probe, { force: true }).catch(() => undefined);
  }
}

async function checkParent(dataDir: string): Promise<Check> {
  let parent = dirname(dataDir);
  while ((await stat(parent).catch(() => null)) === null && parent !== dirname(parent)) {
    parent = dirname(parent);
  }
  const writable = await access(parent, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (writable) return ok("data folder", `${dataDir} does not exist yet; it is made when needed.`);
  const detail = `${dataDir} does not exist, and ${parent} cannot be written.`;
  return fail("data folder", detail, "Name another one with --data-dir or CHANGEOVER_DATA_DIR.");
}

async function checkModes(dataDir: string): Promise<Check> {
  if (!(await isOpenToOthers(dataDir))) return ok("data folder", `${dataDir} can be written.`);
  const detail = `Other users of this machine can look into ${dataDir}.`;
  return warn("data folder", detail, `chmod 700 ${dataDir}`);
}

/** Room on the disk against what the spool may take. */
export async function checkDisk({ dataDir, spoolBytes }: Config): Promise<Check> {
  let folder = dataDir;
  while ((await stat(folder).catch(() => null)) === null && folder !== dirname(folder)) {
    folder = dirname(folder);
  }
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const facts = `${bytesText(free)} free for the data folder; the spool may take ${bytesText(spoolBytes)}.`;
  if (free < LITTLE_DISK_BYTES) {
    return fail("disk", facts, "Make room, or move the data folder with CHANGEOVER_DATA_DIR.");
  }
  if (free < spoolBytes) {
    return warn("disk", facts, "Make room, or lower CHANGEOVER_SPOOL_BYTES to what there is.");
  }
  return ok("disk", facts);
}

/** Files with secrets: there, usable, and for this user only. */
export async function checkSecrets({
  dataDir,
  keysFile,
  operatorToken,
}: Config): Promise<readonly Check[]> {
  const token = join(dataDir, operatorTokenFile);
  const checks: Check[] = [];
  if (operatorToken !== null) {
    checks.push(ok("operator token", "Set by CHANGEOVER_OPERATOR_TOKEN."));
  } else checks.push(await checkSecretFile("operator token", token));
  if (keysFile !== null) {
    checks.push(await checkSecretFile("keys file", keysFile));
    const broken = await readOwners(keysFile).then(
      () => null,
      (error: unknown) => toError(error).message,
    );
    if (broken !== null) {
      const advice = 'Write it as {"<key of 8 or more characters>": "<owner>"}.';
      checks.push(fail("keys file", broken, advice));
    }
  }
  return checks;
}

async function checkSecretFile(name: string, path: string): Promise<Check> {
  const stats = await stat(path).catch(() => null);
  if (stats === null) {
    if (name === "operator token") return ok(name, "None yet; it is made on first use.");
    return fail(name, `${path} cannot be read.`, "Correct CHANGEOVER_KEYS_FILE, or its rights.");
  }
  if (process.platform !== "win32" && (stats.mode & 0o077) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, "0");
    return fail(name, `${path} has mode ${mode}: other users can read it.`, `chmod 600 ${path}`);
  }
  return ok(name, `${path} is for this user only.`);
}
