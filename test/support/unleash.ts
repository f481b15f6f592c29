import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startFleetBackend } from "../../src/sandbox/fleet-backend.ts";

/** A real Unleash for tests. */
export interface TestUnleash {
  readonly url: string;
  readonly apiUrl: string;
  /** A backend token for `environment`. */
  readonly clientToken: string;
  /** The personal token of an editor. */
  readonly adminToken: string;
  readonly environment: string;
  readonly project: string;
  /** A database for the product on the same server; empty, unless an external server is used. */
  readonly postgresUrl: string;
  close(): Promise<void>;
}

/**
 * A real Unleash on a Postgres of its own in a temporary folder; takes 10 to 20 seconds. Use one for a
 * whole file. To use a running one instead, set `CHANGEOVER_TEST_UNLEASH_URL`, `…_CLIENT_TOKEN`,
 * `…_ADMIN_TOKEN` and `CHANGEOVER_TEST_POSTGRES_URL`, as `node test/support/fixtures/unleash-server.ts` prints
 * them: flags of earlier tests are still there, so give flags names of their own.
 */
export async function startTestUnleash(): Promise<TestUnleash> {
  const external = externalUnleash();
  if (external !== null) return external;
  const dataDir = await mkdtemp(join(tmpdir(), "changeover-unleash-"));
  const remove = (): Promise<void> => rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  const fleet = await startFleetBackend({ dataDir, fsync: false }).catch(async (error) => {
    await remove();
    throw error;
  });
  const close = async (): Promise<void> => {
    await fleet.close();
    await remove();
  };
  try {
    const { url, apiUrl, clientToken, adminToken, environment, project } = await fleet.unleash;
    const postgresUrl = fleet.addresses.postgres.url;
    const tokens = { clientToken, adminToken };
    return { url, apiUrl, ...tokens, environment, project, postgresUrl, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function externalUnleash(): TestUnleash | null {
  const of = (name: string): string => process.env[`CHANGEOVER_TEST_${name}`] ?? "";
  const url = of("UNLEASH_URL").replace(/\/(api\/?)?$/, "");
  if (url === "") return null;
  return {
    url,
    apiUrl: `${url}/api`,
    clientToken: of("UNLEASH_CLIENT_TOKEN"),
    adminToken: of("UNLEASH_ADMIN_TOKEN"),
    environment: "development",
    project: "default",
    postgresUrl: of("POSTGRES_URL"),
    close: () => Promise.resolve(),
  };
}
