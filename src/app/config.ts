import { resolve } from "node:path";
import * as v from "valibot";
import { CodedError } from "../base/errors.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

/** One setting: its variable, what it means, and what it is when nobody says otherwise. */
export interface Setting {
  readonly variable: string;
  readonly meaning: string;
  readonly fallback: string;
}

/** Everything the product can be told from outside. Made once, at the start, by `readConfig`. */
export interface Config {
  readonly host: string;
  /** 0 means any free port. */
  readonly port: number;
  readonly dataDir: string;
  readonly flagsDir: string;
  readonly keysFile: string | null;
  readonly operatorToken: string | null;
  readonly logLevel: "debug" | "info" | "warn" | "error" | "silent";
  readonly maxFileBytes: number;
  readonly spoolBytes: number;
  readonly legacyMemoryBytes: number | null;
  readonly candidateMemoryBytes: number | null;
  readonly admissionWaitMs: number;
  readonly uploadConcurrency: number;
  readonly resumableFromBytes: number;
  readonly candidateDeadlineMs: number | null;
  readonly providerRequestsPerSecond: number | null;
  readonly providerBytesPerSecond: number | null;
  readonly drainMs: number;
  readonly flagsStaleMs: number;
  readonly supabaseUrl: string | null;
  readonly supabaseKey: string | null;
  readonly supabaseBucket: string;
  readonly kimiUrl: string | null;
  readonly kimiKey: string | null;
  readonly glmUrl: string | null;
  readonly glmKey: string | null;
  readonly guardPolicyFile: string | null;
}

const whole = (min: number, max: number): v.GenericSchema<string, number> =>
  v.pipe(
    v.string(),
    v.regex(/^\d{1,16}$/, `use a whole number from ${min} to ${max}`),
    v.transform(Number),
    v.minValue(min, `use at least ${min}`),
    v.maxValue(max, `use at most ${max}`),
  );

const text: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.minLength(1, "must not be empty"),
);
const url: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.url("use an address like https://project.supabase.co"),
  v.transform((value) => value.replace(/\/+$/, "")),
);
const path: v.GenericSchema<string, string> = v.pipe(
  text,
  v.transform((value) => resolve(value)),
);

interface Row {
  readonly variable: string;
  readonly meaning: string;
  /** The default as text, or null when there is none. */
  readonly fallback: string | null;
  readonly schema: v.GenericSchema<string, unknown>;
}

const row = (
  variable: string,
  fallback: string | null,
  schema: v.GenericSchema<string, unknown>,
  meaning: string,
): Row => ({ variable, meaning, fallback, schema });

const levels = ["debug", "info", "warn", "error", "silent"] as const;

/** The whole configuration as one table; the README's table is tested against it. */
const rows: Readonly<Record<keyof Config, Row>> = {
  host: row("CHANGEOVER_HOST", "127.0.0.1", text, "Address the gateway listens on."),
  port: row(
    "CHANGEOVER_PORT",
    "8787",
    whole(0, 65_535),
    "Port of the gateway; 0 takes any free one.",
  ),
  dataDir: row("CHANGEOVER_DATA_DIR", ".changeover", path, "Folder for everything that is kept."),
  flagsDir: row("CHANGEOVER_FLAGS_DIR", "flags", path, "Folder of flag files."),
  keysFile: row(
    "CHANGEOVER_KEYS_FILE",
    null,
    path,
    "JSON file of bearer keys and the owner each one names; without it there is one owner, `local`, and only loopback may be served.",
  ),
  operatorToken: row(
    "CHANGEOVER_OPERATOR_TOKEN",
    null,
    v.pipe(v.string(), v.minLength(16, "use at least 16 characters")),
    "Token of the control API; made up and kept in the data folder when missing.",
  ),
  logLevel: row("CHANGEOVER_LOG_LEVEL", "info", v.picklist(levels), "How much is logged."),
  maxFileBytes: row(
    "CHANGEOVER_MAX_FILE_BYTES",
    String(5 * GiB),
    whole(1, 64 * GiB),
    "Largest file in bytes, before the provider's own limit.",
  ),
  spoolBytes: row(
    "CHANGEOVER_SPOOL_BYTES",
    String(10 * GiB),
    whole(MiB, 1024 * GiB),
    "Disk space in bytes for bodies that are being received.",
  ),
  legacyMemoryBytes: row(
    "CHANGEOVER_LEGACY_MEMORY_BYTES",
    null,
    whole(MiB, 1024 * GiB),
    "Memory that calls on legacy may claim at once; a quarter of the memory limit when missing.",
  ),
  candidateMemoryBytes: row(
    "CHANGEOVER_CANDIDATE_MEMORY_BYTES",
    null,
    whole(MiB, 1024 * GiB),
    "Memory that calls on the candidate may claim at once; a quarter of the memory limit when missing.",
  ),
  admissionWaitMs: row(
    "CHANGEOVER_ADMISSION_WAIT_MS",
    "60000",
    whole(1, 3_600_000),
    "How long a call waits for memory before it gets a 503 with a retry time.",
  ),
  uploadConcurrency: row(
    "CHANGEOVER_UPLOAD_CONCURRENCY",
    "8",
    whole(1, 256),
    "Uploads and connections that the streaming path has open at once.",
  ),
  resumableFromBytes: row(
    "CHANGEOVER_RESUMABLE_FROM_BYTES",
    String(24 * MiB),
    whole(1, 64 * GiB),
    "Size in bytes from which the streaming path uploads in parts that survive a lost connection.",
  ),
  candidateDeadlineMs: row(
    "CHANGEOVER_CANDIDATE_DEADLINE_MS",
    null,
    whole(1, 86_400_000),
    "Milliseconds until a call on the candidate counts as timed out; none when missing.",
  ),
  providerRequestsPerSecond: row(
    "CHANGEOVER_PROVIDER_REQUESTS_PER_SECOND",
    null,
    whole(1, 10_000),
    "Requests that the streaming path sends to each AI provider in a second; no limit when missing.",
  ),
  providerBytesPerSecond: row(
    "CHANGEOVER_PROVIDER_BYTES_PER_SECOND",
    null,
    whole(1024, 1024 * GiB),
    "Bytes of files that the streaming path sends to each AI provider in a second; no limit when missing.",
  ),
  drainMs: row(
    "CHANGEOVER_DRAIN_MS",
    "2000",
    whole(0, 600_000),
    "How long calls in flight may go on after a stop was asked for.",
  ),
  flagsStaleMs: row(
    "CHANGEOVER_FLAGS_STALE_MS",
    "30000",
    whole(1000, 86_400_000),
    "Age after which flags count as stale, so that everything goes to legacy.",
  ),
  supabaseUrl: row(
    "SUPABASE_URL",
    null,
    url,
    "Supabase project; the embedded backend when missing.",
  ),
  supabaseKey: row("SUPABASE_SECRET_KEY", null, text, "Its secret (service role) key."),
  supabaseBucket: row("SUPABASE_BUCKET", "changeover-files", text, "Its storage bucket."),
  kimiUrl: row("KIMI_BASE_URL", null, url, "Kimi's API, as in https://api.moonshot.ai/v1."),
  kimiKey: row(
    "KIMI_API_KEY",
    null,
    text,
    "Its key; with the embedded backend a stand-in is used.",
  ),
  glmUrl: row("GLM_BASE_URL", null, url, "GLM's API, as in https://api.z.ai/api/paas/v4."),
  glmKey: row("GLM_API_KEY", null, text, "Its key; with the embedded backend a stand-in is used."),
  guardPolicyFile: row(
    "CHANGEOVER_GUARD_POLICY",
    null,
    path,
    "JSON file with the guard's rules; the built-in policy when missing.",
  ),
};

/** Every setting with its meaning and default, for `--help`, the README and `doctor`. */
export const settings: readonly Setting[] = Object.values(rows).map(
  ({ variable, meaning, fallback }) => ({ variable, meaning, fallback: fallback ?? "" }),
);

/** The environment that is read when none is given; the only place that reads it. */
export const processEnvironment = (): NodeJS.ProcessEnv => process.env;

/**
 * Reads the configuration. An empty variable counts as missing. Throws `CONFIG_INVALID`, naming every
 * wrong setting with what it accepts.
 */
export function readConfig(environment: NodeJS.ProcessEnv = processEnvironment()): Config {
  const problems: string[] = [];
  const read = ([field, { variable, fallback, schema }]: [string, Row]): [string, unknown] => {
    const given = environment[variable];
    const value = given === undefined || given === "" ? fallback : given;
    if (value === null) return [field, null];
    const parsed = v.safeParse(schema, value);
    if (parsed.success) return [field, parsed.output];
    const shown = /KEY|TOKEN/.test(variable) ? "the value" : JSON.stringify(value.slice(0, 100));
    problems.push(`${variable}: ${shown} is not accepted: ${parsed.issues[0].message}`);
    return [field, null];
  };
  const config = Object.fromEntries(Object.entries(rows).map(read)) as unknown as Config;
  const half = (config.supabaseUrl === null) !== (config.supabaseKey === null);
  if (half) problems.push("SUPABASE_URL and SUPABASE_SECRET_KEY go together: set both or neither");
  if (problems.length === 0) return config;
  throw new CodedError("CONFIG_INVALID", `${problems.join(". ")}.`, { status: 400 });
}
