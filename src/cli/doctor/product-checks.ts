import type { Config } from "../../app/config.ts";
import { configuredBackend } from "../../app/configured-backend.ts";
import type { Snapshot } from "../../app/snapshot.ts";
import { toError } from "../../base/errors.ts";
import { describeFault } from "../../rehearsal/faults.ts";
import { requirePackages } from "../../sandbox/required-packages.ts";
import { portProblem } from "../process/port.ts";
import type { RunRecord } from "../run-file.ts";
import { counted } from "../terminal/text.ts";
import { type Check, fail, ok, warn } from "./check.ts";

/** Milliseconds that a backend or gateway may take to answer. */
const ANSWER_LIMIT_MS = 3000;

/** The running process, or whether one could start. */
export async function checkGateway(config: Config, run: RunRecord | null): Promise<Check> {
  const { host, port } = config;
  if (run === null) {
    const problem = await portProblem(host, port);
    if (problem === null) {
      const where = port === 0 ? "any free port will be taken" : `port ${port} of ${host} is free`;
      return ok("gateway", `Nothing is running; ${where}.`);
    }
    const advice = "Set CHANGEOVER_PORT to another port, or to 0 for any free one.";
    return fail("gateway", problem.message, advice);
  }
  const who = `changeover (process ${run.pid})`;
  if (run.gateway === null) return warn("gateway", `${who} is still starting.`, "Try again soon.");
  const answer = await ask(`${run.gateway}/readyz`);
  if (answer.status === 200) return ok("gateway", `${who} is ready at ${run.gateway}.`);
  const detail = `${who} at ${run.gateway} is not ready: ${answer.text}`;
  return fail(
    "gateway",
    detail,
    `Read the log in ${config.dataDir}/logs, or stop it and start again.`,
  );
}

/** Is there something to store files in? */
export async function checkBackend(config: Config, run: RunRecord | null): Promise<Check> {
  const backend = run?.backend ?? configuredBackend(config);
  if (backend === null) return checkEmbedded();
  const { url, secretKey } = backend.supabase;
  const { status, text } = await ask(`${url}/rest/v1/files?select=id&limit=1`, {
    apikey: secretKey,
    authorization: `Bearer ${secretKey}`,
  });
  if (status === 200) return ok("backend", `The backend at ${url} answers.`);
  const advice =
    status === null
      ? "Check SUPABASE_URL and the network; with the embedded backend stop changeover and start it again."
      : "Check SUPABASE_SECRET_KEY, and that supabase/migrations were applied.";
  return fail("backend", `The backend at ${url} cannot be used: ${text}`, advice);
}

function checkEmbedded(): Check {
  try {
    requirePackages();
    return ok("backend", "The embedded backend is installed; it is started when needed.");
  } catch (error) {
    const advice =
      "Install it, or name a Supabase project with SUPABASE_URL and SUPABASE_SECRET_KEY.";
    return fail("backend", toError(error).message, advice);
  }
}

/** Providers whose address or key is missing are not used, which is easily overlooked. */
export function checkProviders(config: Config): readonly Check[] {
  const rows = [
    ["KIMI_BASE_URL", config.kimiUrl, "KIMI_API_KEY", config.kimiKey],
    ["GLM_BASE_URL", config.glmUrl, "GLM_API_KEY", config.glmKey],
  ] as const;
  return rows.flatMap(([urlName, url, keyName, key]) => {
    if ((url === null) === (key === null)) return [];
    const [set, unset] = url === null ? [keyName, urlName] : [urlName, keyName];
    const detail = `${set} is set and ${unset} is not, so the real provider is not used.`;
    return [warn("providers", detail, `Set ${unset} too, or remove ${set}.`)];
  });
}

/** Flags, latches and faults as the product sees them. */
export function checkFlags({ flags, operations, faults }: Snapshot, flagsDir: string): Check[] {
  const checks: Check[] = flags.problems.map(({ subject, message }) =>
    fail(
      "flags",
      `${subject}: ${message}`,
      `Correct it in ${flagsDir}; until then what it said before holds, or else legacy.`,
    ),
  );
  for (const { name, flag, latch } of operations) {
    if (flag === null) {
      checks.push(fail("flags", `${name} has no flag.`, `Add ${flagsDir}/${name}.json.`));
    }
    if (latch?.tripped !== true) continue;
    const detail = `${name} is rolled back since ${latch.at}: ${latch.reason}`;
    checks.push(warn("latches", detail, `When it is mended: changeover rearm ${name}`));
  }
  if (flags.freshness.state !== "fresh") {
    const detail = `Flags are ${flags.freshness.state}: every call goes to legacy.`;
    checks.push(fail("flags", detail, `Check that ${flagsDir} can be read.`));
  }
  for (const path of ["legacy", "candidate"] as const) {
    const words = describeFault(faults[path]);
    if (words === null) continue;
    const detail = `A fault is injected into ${path}: ${words}.`;
    checks.push(warn("faults", detail, `End it: changeover sandbox fault ${path} --off`));
  }
  if (checks.length > 0) return checks;
  const sum = counted(operations.length, "operation");
  return [
    ok(
      "flags",
      `${sum}, each with a valid flag that keeps a key on its path; no latch is tripped.`,
    ),
  ];
}

interface Asked {
  /** Null when nobody answered. */
  readonly status: number | null;
  readonly text: string;
}

async function ask(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Asked> {
  try {
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
    const response = await fetch(url, { headers, signal });
    const text = (await response.text()).slice(0, 300);
    return { status: response.status, text: `status ${response.status} ${text}` };
  } catch (error) {
    const { message, cause } = toError(error);
    const why = cause === undefined ? message : toError(cause).message;
    return { status: null, text: `no answer (${why})` };
  }
}
