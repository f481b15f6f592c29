import type { App } from "../../app/app.ts";
import type { Config } from "../../app/config.ts";
import { CodedError, codeOf, toError } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { Resources } from "../../base/resources.ts";
import type { FleetAddresses, FleetBackend } from "../../sandbox/fleet-backend.ts";
import type { Gateway } from "../../server/gateway.ts";
import { type OpenBackend, openBackend } from "../backend.ts";
import type { Command, CommandContext } from "../context.ts";
import { openDataFolder } from "../process/data-folder.ts";
import { type FlagsFrom, serversOf } from "../process/fleet.ts";
import { openLogFile } from "../process/log-file.ts";
import { withPackage } from "../process/optional-package.ts";
import { portProblem } from "../process/port.ts";
import { type Cleared, RunFile, type SharedAddresses } from "../run-file.ts";
import { counted, styled } from "../terminal/text.ts";
import { announcement, type Running } from "./start-announcement.ts";

/** What closing takes at most beside the time that calls in flight are given, in milliseconds. */
const CLOSE_LIMIT_MS = 1000;
/** What the backend may take to close, in milliseconds: Unleash stops before its Postgres. */
const BACKEND_CLOSE_LIMIT_MS = 4500;
/** How long calls may go on once the backend is gone, in milliseconds: they can only fail. */
const DEAD_BACKEND_DRAIN_MS = 200;

/**
 * `changeover start`: runs until Ctrl-C or SIGTERM, then lets calls in flight finish for
 * `CHANGEOVER_DRAIN_MS` and stops everything. Ends with code 5 when the embedded backend dies.
 */
export const start: Command<{ readonly flags?: FlagsFrom }> = async (context, { options }) => {
  const config = context.config();
  context.allowToStop(config.drainMs + CLOSE_LIMIT_MS + BACKEND_CLOSE_LIMIT_MS);
  await openDataFolder(config.dataDir);
  const opened = new Resources(context.clock);
  try {
    const product = await open(context, { config, flags: options.flags }, opened);
    await tell(context, product.running);
    const death = await endOf(product.backend, context.signal);
    await stop(context, product, config, death);
    if (death !== null) throw death;
    return { answer: null };
  } finally {
    await opened.close();
  }
};

interface Product {
  readonly backend: OpenBackend;
  readonly app: App;
  readonly gateway: Gateway;
  readonly running: Running;
}

/** Opens everything in order; `opened` closes it in reverse, also when a step fails. */
async function open(
  context: CommandContext,
  { config, flags }: { readonly config: Config; readonly flags: FlagsFrom | undefined },
  opened: Resources,
): Promise<Product> {
  const { clock, output, signal } = context;
  const run = await RunFile.claim(config.dataDir, clock);
  const releaseNow = (): void => run.releaseNow();
  process.once("exit", releaseNow);
  opened.add("run file", () => run.release());
  if (run.cleared !== null) output.note(styled("warn", clearedText(run.cleared)));
  const taken = await portProblem(config.host, config.port);
  if (taken !== null) throw taken;
  const log = await openLogFile(config.dataDir, config.logLevel);
  opened.add("log", () => log.close());
  const { logger } = log;

  output.note(styled("faint", "Starting the backend …"));
  const backend = await openBackend(config, { logger, clock, flags });
  const { sandbox, fleet } = backend;
  opened.add("backend", () => backend.close(), BACKEND_CLOSE_LIMIT_MS);
  if (backend.note !== null) output.note(styled("warn", backend.note));
  signal.throwIfAborted();
  output.note(styled("faint", "Starting the gateway …"));
  const { createApp } = await import("../../app/app.ts");
  const app = await createApp(config, {
    ...{ logger, clock, backend: backend.backend },
    ...(fleet === null ? {} : { shared: serversOf(fleet) }),
  });
  opened.add("app", async () => {
    await app.close();
  });
  signal.throwIfAborted();
  const { createGateway } = await withPackage(
    "the gateway",
    () => import("../../server/gateway.ts"),
  );
  const gateway = createGateway(app, { clock });
  opened.add("gateway", () => gateway.close(0));
  const { url } = await gateway.listen();
  const pids = (): number[] => [...(sandbox?.pids ?? []), ...(fleet?.pids ?? [])];
  const shared = fleet === null ? null : addressesOf(fleet.addresses, null);
  const { flagsDir } = config;
  await run.announce({ gateway: url, backend: backend.backend, shared, flagsDir, pids: pids() });
  if (fleet !== null) completeLater(run, fleet, pids, logger);
  const running: Running = { config, app, gateway: url, backend, logFile: log.path };
  return { backend, app, gateway, running };
}

/** The Postgres server itself, and the token that writes flags, are known once the servers are up. */
function completeLater(
  run: RunFile,
  { addresses, postgresReady, unleash }: FleetBackend,
  pids: () => number[],
  logger: Logger,
): void {
  postgresReady
    .then(() => run.announce({ pids: pids() }))
    .then(() => unleash)
    .then(({ adminToken }) => run.announce({ shared: addressesOf(addresses, adminToken) }))
    .catch((error) => {
      if (codeOf(error) !== "SANDBOX_CLOSED") logger.warn({ error }, "The run file is incomplete");
    });
}

function addressesOf(
  { postgres, unleash }: FleetAddresses,
  unleashAdminToken: string | null,
): SharedAddresses {
  return {
    postgresUrl: postgres.url,
    unleashUrl: unleash.url,
    unleashToken: unleash.clientToken,
    unleashAdminToken,
    unleashEnvironment: unleash.environment,
    unleashProject: unleash.project,
  };
}

async function tell({ output }: CommandContext, running: Running): Promise<void> {
  const { value, lines } = announcement(running);
  await output.answer({ value, lines });
  const { fleet } = running.backend;
  fleet?.unleash.then(
    ({ url }) => output.note(styled("good", `Unleash is up at ${url}`)),
    (error) => {
      if (codeOf(error) !== "SANDBOX_CLOSED") output.note(styled("bad", toError(error).message));
    },
  );
  fleet?.onExit(({ name, pid }) => {
    const text = `The embedded ${name} (process ${pid}) ended by itself; calls go on with the flags known last. Start changeover again to have it back.`;
    output.note(styled("bad", text));
  });
}

/** Waits until the user ends the product, which is null, or the embedded backend does. */
function endOf({ sandbox }: OpenBackend, signal: AbortSignal): Promise<CodedError | null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener("abort", () => resolve(null), { once: true });
    sandbox?.onExit(({ name, pid, exitCode, signal: killedBy, tail }) => {
      const how = killedBy === null ? `with code ${exitCode}` : `by ${killedBy}`;
      const last = tail === "" ? "" : ` Its last lines:\n${tail}`;
      resolve(
        new CodedError(
          "CLI_BACKEND_DIED",
          `The embedded backend's process ${name} (${pid}) ended ${how}, so changeover stops. Start it again; what was stored is kept.${last}`,
          { status: 503, details: { name, pid, exitCode, signal: killedBy } },
        ),
      );
    });
  });
}

async function stop(
  { output }: CommandContext,
  { gateway }: Product,
  { drainMs }: Config,
  death: CodedError | null,
): Promise<void> {
  const calls = gateway.callsInFlight;
  output.note(
    death === null
      ? `stopping: ${counted(calls, "call")} in flight${calls > 0 ? `, given ${drainMs} ms` : ""}`
      : styled(
          "bad",
          `stopping: the embedded backend is gone, ${counted(calls, "call")} in flight`,
        ),
  );
  await gateway.close(death === null ? drainMs : DEAD_BACKEND_DRAIN_MS);
}

function clearedText({ pid, children }: Cleared): string {
  const who = pid === null ? "An earlier process" : `Process ${pid}`;
  const ended =
    children === 0 ? "" : `; ${counted(children, "process")} of its backend had to be ended`;
  return `${who} ended without cleaning up; its claim on the data folder is cleared${ended}.`;
}
