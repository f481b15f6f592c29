import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { rememberedIn } from "./kept-port.ts";
import { CHANGEOVER_DATABASE, databaseUrl } from "./postgres/database-url.ts";

/** Where the embedded servers of a data folder listen while they run, and how to write to them. */
export interface RememberedFleet {
  /** The product's own database. */
  readonly postgresUrl: string;
  /** Null when Unleash never came up on this folder. */
  readonly unleash: {
    readonly url: string;
    /** The personal token of an editor. */
    readonly adminToken: string;
    readonly environment: string;
    readonly project: string;
  } | null;
}

/**
 * What the data folder remembers of its embedded Postgres and Unleash, for a command that has to reach
 * them without the process that started them. Whether they still run is for the caller to find out.
 * Null when there were none.
 */
export function rememberedFleet(dataDir: string): RememberedFleet | null {
  const port = rememberedIn(join(dataDir, "postgres", "port"));
  const password = keyIn(join(dataDir, "postgres", "keys.json"), "password");
  if (port === 0 || password === null) return null;
  const unleashPort = rememberedIn(join(dataDir, "unleash", "port"));
  const tokenFile = join(dataDir, "unleash", "editor-token");
  const adminToken = existsSync(tokenFile) ? readFileSync(tokenFile, "utf8").trim() : "";
  const place = { environment: "development", project: "default" };
  const url = `http://127.0.0.1:${unleashPort}`;
  return {
    postgresUrl: databaseUrl(port, password, CHANGEOVER_DATABASE),
    unleash: unleashPort === 0 || adminToken === "" ? null : { url, adminToken, ...place },
  };
}

function keyIn(file: string, name: string): string | null {
  if (!existsSync(file)) return null;
  try {
    const keys: Readonly<Record<string, unknown>> = JSON.parse(readFileSync(file, "utf8"));
    const key = keys[name];
    return typeof key === "string" ? key : null;
  } catch {
    return null;
  }
}
