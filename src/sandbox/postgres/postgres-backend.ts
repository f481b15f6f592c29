import { join } from "node:path";
import { systemClock } from "../../base/clock.ts";
import { type StartedBackend, serveParent } from "../child/child-side.ts";
import { lockFolder } from "../folder-lock.ts";
import { KeptPort } from "../kept-port.ts";
import { postgresBinaries } from "./binaries.ts";
import {
  type ClusterOptions,
  dataFolderIn,
  initialise,
  PostgresServer,
  resetPassword,
} from "./cluster.ts";
import { CHANGEOVER_DATABASE, databaseUrl, UNLEASH_DATABASE } from "./database-url.ts";
import { createDatabases } from "./databases.ts";
import { osUserFor } from "./os-user.ts";
import { clearOrphan } from "./postmaster-file.ts";
import { POSTGRES_STOP_LIMIT_MS } from "./stop-limit.ts";

/** What the parent sends. */
export interface PostgresSettings {
  /** Postgres's own folder: its data, the lock, the last port. */
  readonly folder: string;
  readonly password: string;
  /** 0: the one it had last time if that is free, else any free one. */
  readonly port: number;
  readonly fsync: boolean;
}

/** What the parent gets back before the server is up: the port is kept for it meanwhile. */
export interface PostgresReady {
  readonly port: number;
  readonly changeoverUrl: string;
  readonly unleashUrl: string;
}

/** What the parent gets back once the server takes connections and both databases are there. */
export interface PostgresJoined {
  /** The server's own process; the child's id is another one. */
  readonly serverPid: number;
}

serveParent(startPostgres, POSTGRES_STOP_LIMIT_MS);

async function startPostgres(
  { folder, password, port: wanted, fsync }: PostgresSettings,
  ending: AbortSignal,
): Promise<StartedBackend<PostgresReady, PostgresJoined>> {
  const binaries = await postgresBinaries();
  const user = osUserFor(folder, binaries.postgres);
  const lock = lockFolder(folder);
  const orphan = await clearOrphan(dataFolderIn(folder), systemClock);
  if (orphan !== null) process.stderr.write(`Ended a Postgres left behind: ${orphan}\n`);
  const port = await KeptPort.keep(wanted, join(folder, "port"));
  const options: ClusterOptions = { folder, binaries, user, fsync, clock: systemClock, ending };
  const starting = startServer(options, port, password);
  let stopping = false;
  const joined = starting.then((server) => {
    // The parent is told by this child's end.
    void server.ended.then(() => {
      if (!stopping) process.exit(4);
    });
    return { serverPid: server.pid };
  });
  const url = (database: string): string => databaseUrl(port.number, password, database);
  return {
    ready: {
      port: port.number,
      changeoverUrl: url(CHANGEOVER_DATABASE),
      unleashUrl: url(UNLEASH_DATABASE),
    },
    joined,
    stop: async () => {
      stopping = true;
      await starting.then(
        (server) => server.stop(),
        () => undefined,
      );
      lock.release();
    },
  };
}

async function startServer(
  options: ClusterOptions,
  port: KeptPort,
  password: string,
): Promise<PostgresServer> {
  await initialise(options, password);
  await port.letGo();
  const server = await PostgresServer.start(options, port.number);
  try {
    if ((await createDatabases(port.number, password)) === "created") return server;
    // The key file is new, the data is not.
    await server.stop();
    await resetPassword(options, password);
    const again = await PostgresServer.start(options, port.number);
    await createDatabases(port.number, password);
    return again;
  } catch (error) {
    await server.stop();
    throw error;
  }
}
