import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Config } from "../../app/config.ts";
import { toError } from "../../base/errors.ts";
import type { Command, CommandContext } from "../context.ts";
import { type Check, fail } from "../doctor/check.ts";
import { checkDataFolder, checkDisk, checkSecrets } from "../doctor/folder-checks.ts";
import {
  checkClock,
  checkMemory,
  checkNode,
  checkOpenFiles,
  checkPackages,
} from "../doctor/machine-checks.ts";
import {
  checkBackend,
  checkFlags,
  checkGateway,
  checkProviders,
} from "../doctor/product-checks.ts";
import { runningOn } from "../run-file.ts";
import { withOperator } from "../session.ts";
import { type Line, type Style, styled, table } from "../terminal/text.ts";

/** `changeover doctor`: changes nothing; fails when any check does. */
export const doctor: Command<unknown> = async (context) => {
  const checks: Check[] = [checkNode(process.versions.node)];
  const config = readConfig(context, checks);
  if (config !== null) checks.push(...(await checksOf(context, config)));
  checks.push(checkPackages());
  const failed = checks.some(({ result }) => result === "fail");
  return {
    answer: { value: { ok: !failed, checks }, lines: table(checks.flatMap(rowsOf)) },
    exit: failed ? "failed" : "done",
  };
};

function readConfig({ config }: CommandContext, checks: Check[]): Config | null {
  try {
    return config();
  } catch (error) {
    checks.push(fail("settings", toError(error).message, "Correct these environment variables."));
    return null;
  }
}

async function checksOf(context: CommandContext, config: Config): Promise<Check[]> {
  const { clock } = context;
  const folder = await checkDataFolder(config.dataDir);
  const writable = folder.checks.every(({ result }) => result !== "fail");
  const run = writable ? await runningOn(config.dataDir) : null;
  const openFiles = await checkOpenFiles();
  return [
    ...folder.checks,
    await checkDisk(config),
    ...(await checkSecrets(config)),
    checkClock(clock.now(), folder.diskMs),
    checkMemory(config),
    ...(openFiles === null ? [] : [openFiles]),
    await checkGateway(config, run),
    await checkBackend(config, run),
    ...checkProviders(config),
    ...(writable ? await flagChecks(context, config, folder.diskMs !== null) : []),
  ];
}

/** Where there is no data folder yet, flags are judged with an empty one that is removed again. */
async function flagChecks(
  context: CommandContext,
  config: Config,
  folderExists: boolean,
): Promise<Check[]> {
  const dataDir = folderExists
    ? config.dataDir
    : await mkdtemp(join(tmpdir(), "changeover-doctor-"));
  const inFolder: CommandContext = { ...context, config: () => ({ ...config, dataDir }) };
  try {
    return await withOperator(inFolder, async (operator) =>
      checkFlags(await operator.snapshot(), config.flagsDir),
    );
  } catch (error) {
    const advice = "Read the message; CHANGEOVER_FLAGS_DIR names the folder of flag files.";
    return [fail("flags", toError(error).message, advice)];
  } finally {
    if (!folderExists) await rm(dataDir, { recursive: true, force: true });
  }
}

const styles: Readonly<Record<Check["result"], Style>> = { ok: "good", warn: "warn", fail: "bad" };

function rowsOf({
  name,
  result,
  detail,
  advice,
}: Check): Exclude<Line, string | { style: Style }>[] {
  const row = [styled(styles[result], result), name, detail];
  return advice === null ? [row] : [row, ["", "", styled("faint", `-> ${advice}`)]];
}
