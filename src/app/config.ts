import { resolve } from "node:path";
import * as v from "valibot";
import { CodedError } from "../base/errors.ts";
import type { NoticeFormat } from "./notices/notice.ts";
import { accessProblems } from "./secrets.ts";

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
  readonly blockedTypes: readonly string[] | null;
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
  /** Null: the embedded Unleash where it can run, else files. */
  readonly flagsFrom: FlagsFrom | null;
  readonly supabaseUrl: string | null;
  readonly supabaseKey: string | null;
  readonly supabaseBucket: string;
  readonly kimiUrl: string | null;
  readonly kimiKey: string | null;
  readonly glmUrl: string | null;
  readonly glmKey: string | null;
  readonly guardPolicyFile: string | null;
  readonly rolloutPlanFile: string | null;
  readonly prometheusUrl: string | null;
  readonly unleashUrl: string | null;
  readonly unleashToken: string | null;
  readonly unleashAdminToken: string | null;
  readonly unleashEnvironment: string;
  readonly unleashProject: string;
  readonly postgresUrl: string | null;
  readonly instance: string | null;
  /** Null: `sandbox` with the embedded backend, else `production`. */
  readonly environment: Environment | null;
  readonly recordFile: string | null;
  readonly webhookUrl: string | null;
  readonly webhookSecret: string | null;
  readonly webhookFormat: NoticeFormat;
  readonly chromium: string;
}

/** Where the flags of the embedded default come from. */
export type FlagsFrom = "unleash" | "file";

/** What kind of place this process runs in: drills are held in the first two only, unless forced. */
export type Environment = "sandbox" | "staging" | "production";

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

const mimeTypes: v.GenericSchema<string, readonly string[]> = v.pipe(
  v.string(),
  v.regex(
    /^[a-z]+\/[\w.+*-]+(,[a-z]+\/[\w.+*-]+)*$/,
    "use MIME types, as in video/*,application/zip",
  ),
  v.transform((value) => value.split(",")),
);

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
  blockedTypes: row(
    "CHANGEOVER_BLOCKED_TYPES",
    null,
    mimeTypes,
    "MIME types that nobody may store, found in the bytes, as in `application/x-msdownload,video/*`; AI providers refuse programs in any case.",
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
  flagsFrom: row(
    "CHANGEOVER_FLAGS",
    null,
    v.picklist(["unleash", "file"], "use unleash or file"),
    "Where `start` takes flags from when no CHANGEOVER_UNLEASH_URL is set: an embedded Unleash, or the flag files alone (the light mode); when missing, Unleash where its packages are installed.",
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
  rolloutPlanFile: row(
    "CHANGEOVER_ROLLOUT_PLAN",
    null,
    path,
    "JSON file with the rollout plan; `rollout.json` beside the flags when missing.",
  ),
  prometheusUrl: row(
    "CHANGEOVER_PROMETHEUS_URL",
    null,
    url,
    "Prometheus, as in http://127.0.0.1:9090, that the fleet's counts are read from; the instances' own reports when missing.",
  ),
  unleashUrl: row(
    "CHANGEOVER_UNLEASH_URL",
    null,
    url,
    "Unleash server, as in https://unleash.example.com; the embedded one, or flag files, when missing.",
  ),
  unleashToken: row(
    "CHANGEOVER_UNLEASH_TOKEN",
    null,
    text,
    "Its backend token for the environment: reads flags.",
  ),
  unleashAdminToken: row(
    "CHANGEOVER_UNLEASH_ADMIN_TOKEN",
    null,
    text,
    "A personal access token of an Editor: rolls back, sets percentages, pushes flag files; flags can only be read when missing.",
  ),
  unleashEnvironment: row(
    "CHANGEOVER_UNLEASH_ENVIRONMENT",
    "development",
    text,
    "Environment of Unleash that flags are written in.",
  ),
  unleashProject: row(
    "CHANGEOVER_UNLEASH_PROJECT",
    "default",
    text,
    "Project of Unleash that the flags are in.",
  ),
  postgresUrl: row(
    "CHANGEOVER_POSTGRES_URL",
    null,
    v.pipe(
      text,
      v.check(
        (value) => URL.canParse(value) && /^postgres(ql)?:/.test(value),
        "use an address like postgres://user:password@host:5432/database, with special characters of the password percent-encoded",
      ),
    ),
    "The Postgres that all instances of a fleet share, by a direct connection or a pooler in session mode; when missing there is one process, and files in the data folder.",
  ),
  instance: row(
    "CHANGEOVER_INSTANCE",
    null,
    v.pipe(
      v.string(),
      v.regex(/^[\x21-\x7e]{1,80}$/, "use 1 to 80 printable ASCII characters without spaces"),
    ),
    "Name of this instance, unique in the fleet; made from host name, process id and four random letters when missing.",
  ),
  environment: row(
    "CHANGEOVER_ENVIRONMENT",
    null,
    v.picklist(["sandbox", "staging", "production"], "use sandbox, staging or production"),
    "What kind of place this is; when missing, `sandbox` with the embedded backend and `production` with another. Drills refuse production.",
  ),
  recordFile: row(
    "CHANGEOVER_RECORD",
    null,
    path,
    "File that observations are recorded in for `simulate --events`, 64 MiB at most with `<file>.1`, without keys or contents; nothing is recorded when missing.",
  ),
  webhookUrl: row(
    "CHANGEOVER_WEBHOOK_URL",
    null,
    url,
    "Address that is told of rollbacks, re-armings, changes of flags and stages; nobody is told when missing.",
  ),
  webhookSecret: row(
    "CHANGEOVER_WEBHOOK_SECRET",
    null,
    v.pipe(v.string(), v.minLength(16, "use at least 16 characters")),
    "Signs what is sent there with HMAC-SHA256; not signed when missing.",
  ),
  webhookFormat: row(
    "CHANGEOVER_WEBHOOK_FORMAT",
    "json",
    v.picklist(["json", "slack"], "use json or slack"),
    "Shape of what is sent there: our own JSON, or what Slack's incoming webhooks take.",
  ),
  chromium: row(
    "CHANGEOVER_CHROMIUM",
    "/usr/bin/chromium",
    path,
    "Chromium that `demo --pictures` takes pictures with.",
  ),
};

/** Every setting with its meaning and default, for `--help`, the README and `doctor`. */
export const settings: readonly Setting[] = Object.values(rows).map(
  ({ variable, meaning, fallback }) => ({ variable, meaning, fallback: fallback ?? "" }),
);

/** What was said, or what the backend tells. */
export function environmentOf({ environment, supabaseUrl }: Config): Environment {
  return environment ?? (supabaseUrl === null ? "sandbox" : "production");
}

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
    const shown = /KEY|TOKEN|POSTGRES/.test(variable)
      ? "the value"
      : JSON.stringify(value.slice(0, 100));
    problems.push(`${variable}: ${shown} is not accepted: ${parsed.issues[0].message}`);
    return [field, null];
  };
  const config = Object.fromEntries(Object.entries(rows).map(read)) as unknown as Config;
  problems.push(...accessProblems(config));
  if (problems.length === 0) return config;
  throw new CodedError("CONFIG_INVALID", `${problems.join(". ")}.`, { status: 400 });
}
