import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { ChildLog } from "../child/child-log.ts";
import { BackendProcess } from "../child/child-process.ts";
import { keysOf, newKey } from "../key-file.ts";
import { UnleashApi } from "./admin-api.ts";
import { provision } from "./provisioning.ts";
import type { UnleashReady, UnleashSettings, UnleashToken } from "./unleash-backend.ts";

/** How the embedded Unleash is started. */
export interface UnleashOptions {
  /** Keys and the compile cache are in `unleash` below this folder, the log in `logs`. */
  readonly dataDir: string;
  readonly clock: Clock;
  /** An empty database, or one of an earlier Unleash; it is waited for while Postgres starts. */
  readonly databaseUrl: string;
  /** Default 0: the last one used if it is free, else any free one. */
  readonly port?: number;
  /** Milliseconds until Unleash must be up and set up. Default 120000. */
  readonly startTimeoutMs?: number;
}

/** What is known of the embedded Unleash before it is up. */
export interface UnleashAddress {
  /** The server and its admin UI: `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** What `unleash-client` is configured with: `<url>/api`. */
  readonly apiUrl: string;
  /** A backend token for `environment`: reads flags. */
  readonly clientToken: string;
  readonly environment: string;
  readonly project: string;
  /** For people, in the admin UI. */
  readonly login: { readonly url: string; readonly username: string; readonly password: string };
}

/** What is known once it is up. */
export interface UnleashAccess extends UnleashAddress {
  /** The personal token of an editor: writes flags by the Admin API, in the name `changeover`. */
  readonly adminToken: string;
}

/** An Unleash that is starting or up. */
export interface StartedUnleash {
  readonly process: BackendProcess<UnleashSettings, UnleashReady>;
  readonly address: UnleashAddress;
  /**
   * Resolves once the server is up and set up, 4 to 20 seconds after the start. Rejects with
   * `SANDBOX_START_FAILED` and the last lines, with `SANDBOX_UNLEASH_SETUP`, or with
   * `SANDBOX_CLOSED` when it was stopped before. Nobody has to wait for it.
   */
  readonly ready: Promise<UnleashAccess>;
}

const EXTENSION = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
const START_LIMIT_MS = 120_000;
/** Milliseconds until the child must listen, which is before it loads Unleash. */
const LISTEN_LIMIT_MS = 30_000;
const ADMIN_NAME = "admin";
const PROJECT = "default";
const ENVIRONMENT = "development";

/**
 * Starts the embedded Unleash in a child process. Resolves when its address is taken, within about a
 * quarter of a second; until it is up, requests are answered with 503.
 */
export async function startUnleash(options: UnleashOptions): Promise<StartedUnleash> {
  const { dataDir, clock } = options;
  const folder = join(dataDir, "unleash");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const keys = keysOf(join(folder, "keys.json"), {
    // Unleash asks for an upper-case and a lower-case letter, a digit and a sign.
    adminPassword: () => newKey("Aa1-"),
    editorPassword: () => newKey("Aa1-"),
    rootToken: () => newKey("*:*."),
    clientToken: () => newKey(`${PROJECT}:${ENVIRONMENT}.`),
    sessionSecret: () => newKey(""),
  });
  const { process, ready } = await BackendProcess.start<UnleashSettings, UnleashReady>({
    name: "unleash",
    program: new URL(`./unleash-backend${EXTENSION}`, import.meta.url),
    settings: {
      databaseUrl: options.databaseUrl,
      port: options.port ?? 0,
      portFile: join(folder, "port"),
      sessionSecret: keys.sessionSecret,
      admin: { username: ADMIN_NAME, password: keys.adminPassword },
      tokens: [
        token("changeover-setup", "admin", keys.rootToken),
        token("changeover", "backend", keys.clientToken),
      ],
    },
    log: new ChildLog({ file: join(dataDir, "logs", "unleash.log") }),
    clock,
    startTimeoutMs: LISTEN_LIMIT_MS,
    joinTimeoutMs: options.startTimeoutMs ?? START_LIMIT_MS,
    environment: {
      // Compiled code is kept: a later boot takes about half as long.
      NODE_COMPILE_CACHE: join(folder, "compile-cache"),
      CHECK_VERSION: "false",
      SEND_TELEMETRY: "false",
      SCARF_ANALYTICS: "false",
      // For integrations that answer on this machine, such as a webhook of our own gateway.
      UNLEASH_ALLOW_PRIVATE_URL_IN_INTEGRATION: "true",
    },
  });
  const { url } = ready;
  const { clientToken, rootToken, editorPassword } = keys;
  const login = { url, username: ADMIN_NAME, password: keys.adminPassword };
  const place = { environment: ENVIRONMENT, project: PROJECT };
  const address: UnleashAddress = { url, apiUrl: `${url}/api`, clientToken, ...place, login };
  const access = process.joined.then(async (): Promise<UnleashAccess> => {
    const api = new UnleashApi(url, clock);
    const tokenFile = join(folder, "editor-token");
    const setup = { api, clock, project: PROJECT, rootToken, editorPassword, tokenFile };
    return { ...address, adminToken: await provision(setup) };
  });
  access.catch(() => undefined);
  return { process, address, ready: access };
}

function token(tokenName: string, type: UnleashToken["type"], secret: string): UnleashToken {
  const [project = "*", environment = "*"] = secret.split(/[:.]/, 2);
  return { tokenName, type, environment, projects: [project], secret };
}
