import { spawnSync } from "node:child_process";

/** Prometheus, promtool and amtool are no npm packages: checks that need them say so where they are missing. */
export function hasTool(name: string): boolean {
  const isThere = spawnSync(name, ["--version"]).status === 0;
  if (isThere) return true;
  if (process.env["CHANGEOVER_SYSTEM"] === "1" && name !== "amtool") {
    throw new Error(`${name} is not on PATH, and CHANGEOVER_SYSTEM=1 asks for every check.`);
  }
  console.warn(`Skipped: ${name} is not on PATH, so what only it can check is not checked.`);
  return false;
}

/** Runs a tool to its end; what it printed on both channels. */
export function runTool(
  name: string,
  args: readonly string[],
  input = "",
): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(name, args, { encoding: "utf8", input });
  return { status, output: `${stdout}${stderr}` };
}
