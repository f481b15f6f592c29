import type { RequestListener } from "node:http";
import { Client } from "pg";
import { systemClock } from "../../base/clock.ts";
import { type StartedBackend, serveParent } from "../child/child-side.ts";
import { rememberedIn, rememberPort } from "../kept-port.ts";
import { type LoopbackServer, listenOnLoopback, sendJson } from "../loopback-server.ts";

/** What the parent sends. */
export interface UnleashSettings {
  readonly databaseUrl: string;
  /** 0: the one in `portFile` if it is free, else any free one. */
  readonly port: number;
  /** Remembers the port for the next run. */
  readonly portFile: string;
  /** Signs the sessions of those who are logged in. */
  readonly sessionSecret: string;
  readonly admin: { readonly username: string; readonly password: string };
  /** Made when the database is new; `<project>:<environment>.<secret>`. */
  readonly tokens: readonly UnleashToken[];
}

/** A token that Unleash makes on its first boot. */
export interface UnleashToken {
  readonly tokenName: string;
  readonly type: "admin" | "backend";
  readonly environment: string;
  readonly projects: readonly string[];
  readonly secret: string;
}

/** What the parent gets back, long before Unleash is up: until then everything is answered with 503. */
export interface UnleashReady {
  readonly port: number;
  readonly url: string;
}

/** The part of `unleash-server` that is used. */
interface UnleashModule {
  create(options: Readonly<Record<string, unknown>>): Promise<{
    readonly app: RequestListener;
    stop(): Promise<void>;
  }>;
}

/** Connections to Postgres at a time. */
const POOL_MAX = 8;
const CONNECT_LIMIT_MS = 2000;
const LOOK_EVERY_MS = 100;

serveParent(startUnleash);

async function startUnleash(
  settings: UnleashSettings,
  ending: AbortSignal,
): Promise<StartedBackend<UnleashReady>> {
  let listener: RequestListener = answerStarting;
  let stopUnleash = (): Promise<void> => Promise.resolve();
  // Listening first: the address is known and nobody else's, whenever Unleash joins.
  const server = await listenOn(settings, (request, response) => listener(request, response));
  const boot = async (): Promise<void> => {
    await waitForDatabase(settings.databaseUrl, ending);
    const unleash = await createUnleash(settings, server.origin);
    stopUnleash = () => unleash.stop();
    listener = unleash.app;
  };
  return {
    ready: { port: server.port, url: server.origin },
    joined: boot(),
    stop: async () => {
      await server.close();
      await stopUnleash();
    },
  };
}

async function listenOn(
  { port, portFile }: UnleashSettings,
  listener: RequestListener,
): Promise<LoopbackServer> {
  const listen = async (wanted: number): Promise<LoopbackServer> => {
    const server = await listenOnLoopback(wanted, listener);
    rememberPort(portFile, server.port);
    return server;
  };
  if (port !== 0) return listen(port);
  // The port of the last run, so that bookmarks and settings stay valid.
  return listen(rememberedIn(portFile)).catch(() => listen(0));
}

/** Postgres may still be starting: it is waited for until the parent ends the wait. */
async function waitForDatabase(connectionString: string, ending: AbortSignal): Promise<void> {
  for (;;) {
    ending.throwIfAborted();
    const client = new Client({ connectionString, connectionTimeoutMillis: CONNECT_LIMIT_MS });
    client.on("error", () => undefined);
    try {
      await client.connect();
      return;
    } catch {
      await new Promise<void>((resolve) => systemClock.after(LOOK_EVERY_MS, resolve, true));
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

async function createUnleash(
  { databaseUrl, sessionSecret, admin, tokens }: UnleashSettings,
  unleashUrl: string,
): ReturnType<UnleashModule["create"]> {
  const { create } = (await import("unleash-server")) as unknown as UnleashModule;
  return create({
    databaseUrl,
    db: { ssl: false, pool: { min: 0, max: POOL_MAX } },
    server: { unleashUrl, secret: sessionSecret, gracefulShutdownEnable: false },
    versionCheck: { enable: false },
    logLevel: "warn",
    authentication: { initialAdminUser: admin, initApiTokens: tokens },
  });
}

const answerStarting: RequestListener = (request, response) => {
  const headers = { "retry-after": "2" };
  if (!request.headers.accept?.includes("text/html")) {
    sendJson(response, 503, { message: "Unleash is starting." }, headers);
    return;
  }
  response.writeHead(503, { ...headers, "content-type": "text/html; charset=utf-8" });
  response.end(
    '<!doctype html><meta http-equiv="refresh" content="2"><title>Unleash is starting</title><p>Unleash is starting; this page looks again every 2 seconds.',
  );
};
