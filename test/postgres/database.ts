import { randomBytes } from "node:crypto";
import pg from "pg";
import { systemClock } from "../../src/base/clock.ts";
import { migrateFleet } from "../../src/postgres/migrate.ts";
import {
  openPostgres,
  type PostgresOptions,
  type PostgresPorts,
} from "../../src/postgres/open-postgres.ts";
import { startTestPostgres, type TestPostgres } from "../support/postgres.ts";

/** A real server, migrated databases on it, and ports of fleets that are closed with it. */
export class FleetDatabase {
  readonly #server: TestPostgres;
  readonly #owner: pg.Client;
  /** The owner's address of the database. */
  readonly url: string;
  readonly #open: { close(): Promise<void> }[] = [];
  /** What was reported. */
  readonly problems: unknown[] = [];

  private constructor(server: TestPostgres, url: string, owner: pg.Client) {
    this.#server = server;
    this.url = url;
    this.#owner = owner;
  }

  static async open(): Promise<FleetDatabase> {
    const server = await startTestPostgres();
    const url = await newDatabase(server.url);
    await migrateFleet(url);
    const owner = new pg.Client(url);
    owner.on("error", () => undefined);
    await owner.connect();
    return new FleetDatabase(server, url, owner);
  }

  /** The server's first database. */
  get serverUrl(): string {
    return this.#server.url;
  }

  /** As the owner, who may do anything. */
  async sql(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.#owner.query<Record<string, unknown>>(text, values)).rows;
  }

  async ports(instance: string, options: Partial<PostgresOptions> = {}): Promise<PostgresPorts> {
    const ports = await openPostgres({
      ...{ url: this.url, instance, clock: systemClock },
      report: (_part, error) => this.problems.push(error),
      ...options,
    });
    this.#open.push(ports);
    return ports;
  }

  /** Ends what was opened, and empties every table. */
  async reset(): Promise<void> {
    await Promise.all(this.#open.splice(0).map((each) => each.close()));
    this.problems.length = 0;
    await this.sql(
      `TRUNCATE changeover.journal, changeover.latches, changeover.instances, changeover.trips,
         changeover.leases, changeover.rollouts, changeover.retired_totals`,
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.splice(0).map((each) => each.close()));
    await this.#owner.end();
    await this.#server.close();
  }
}

/** An empty database beside the one that `url` names. */
export async function newDatabase(url: string): Promise<string> {
  const name = `fleet_${randomBytes(6).toString("hex")}`;
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${name}`);
  } finally {
    await client.end();
  }
  const made = new URL(url);
  made.pathname = `/${name}`;
  return made.href;
}

/** Waits for something that needs no one's time but the machine's; gives up after 15 s. */
export async function until<T>(
  ask: () => T | Promise<T>,
  isThere: (value: T) => boolean,
): Promise<T> {
  const startedMs = systemClock.monotonicMs();
  for (;;) {
    const value = await ask();
    if (isThere(value)) return value;
    if (systemClock.monotonicMs() - startedMs > 15_000) {
      throw new Error(`It did not come to be: ${JSON.stringify(value)}`);
    }
    await new Promise((resolve) => systemClock.after(20, () => resolve(null), true));
  }
}
