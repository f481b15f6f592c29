import { inspect } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { codeOf } from "../../src/base/errors.ts";
import { migrateFleet } from "../../src/postgres/migrate.ts";
import { openPostgres } from "../../src/postgres/open-postgres.ts";
import { anEntry } from "../contract/journal.ts";
import { FleetDatabase, newDatabase, until } from "./database.ts";

let database: FleetDatabase;
beforeAll(async () => {
  database = await FleetDatabase.open();
});
beforeEach(() => database.reset());
afterAll(() => database?.close());

const appPassword = "only-for-tests'\"$&/0123";
const at = "2026-01-01T00:00:00.000Z";
const forbidden = "42501";

/** The database's address for another login. */
function addressFor(user: string, password: string): string {
  const url = new URL(database.url);
  url.username = user;
  url.password = encodeURIComponent(password);
  return url.href;
}

/** The code of what a statement failed with, or null. */
async function codeFrom(client: pg.Client, text: string): Promise<string | undefined | null> {
  return client.query(text).then(() => null, codeOf);
}

describe("the role that instances work under", () => {
  it("can log in with the password it was given, and cannot change history in any way", async () => {
    await migrateFleet(database.url, { appPassword });
    const url = addressFor("changeover_app", appPassword);
    const ports = await database.ports("a", { url });
    await ports.journal.append(anEntry(at));
    const client = new pg.Client(url);
    await client.connect();
    try {
      // A grant of what one may not give away is only warned of; it changes nothing.
      await client.query("GRANT UPDATE, DELETE ON changeover.journal TO changeover_app");
      for (const text of [
        "UPDATE changeover.journal SET why = 'nothing happened'",
        "DELETE FROM changeover.journal",
        "TRUNCATE changeover.journal",
        "DROP TABLE changeover.journal",
        "ALTER TABLE changeover.journal DISABLE TRIGGER ALL",
        "ALTER TABLE changeover.journal ADD COLUMN x int",
        "CREATE RULE x AS ON INSERT TO changeover.journal DO INSTEAD NOTHING",
        "SET session_replication_role = replica",
        `INSERT INTO changeover.journal (at, operation, kind, actor_type, actor_name, why, evidence,
           recorded_at) VALUES (now(), 'x', 'trip', 'rule', 'x', 'x', '{}', '2001-01-01')`,
        "SELECT * FROM changeover.journal FOR UPDATE",
        "DELETE FROM changeover.latches",
        "DELETE FROM changeover.leases",
        "DELETE FROM changeover.rollouts",
        "CREATE TABLE changeover.mine (x int)",
      ]) {
        expect([text, await codeFrom(client, text)]).toEqual([text, forbidden]);
      }
      expect(await codeFrom(client, "SELECT count(*) FROM changeover.journal")).toBeNull();
    } finally {
      await client.end();
    }
    expect(await ports.journal.read()).toEqual([anEntry(at)]);
    expect(await database.sql("SELECT recorded_by FROM changeover.journal")).toEqual([
      { recorded_by: "changeover_app" },
    ]);
  });

  it("is taken by whoever connects, the owner too", async () => {
    const { journal } = await database.ports("a");
    await journal.append(anEntry(at));
    const [row] = await database.sql("SELECT recorded_by, current_user FROM changeover.journal");
    expect(row?.["recorded_by"]).toBe(row?.["current_user"]);
    // Any statement would do that tells the role; this one is refused, which the owner's would not be.
    await database.sql("REVOKE INSERT (at) ON changeover.journal FROM changeover_app");
    await expect(journal.append(anEntry(at))).rejects.toMatchObject({ code: "POSTGRES_FORBIDDEN" });
    await migrateFleet(database.url);
    await journal.append(anEntry(at));
  });

  it("is refused to a login that is no member of it, with what to do", async () => {
    await database.sql("DROP ROLE IF EXISTS stranger");
    await database.sql("CREATE ROLE stranger LOGIN PASSWORD 'a-password-of-its-own'");
    const url = addressFor("stranger", "a-password-of-its-own");
    const stranger = await database.ports("a", { url });
    await expect(stranger.journal.read()).rejects.toMatchObject({
      code: "POSTGRES_FORBIDDEN",
      message: expect.stringContaining("GRANT changeover_app TO"),
    });
    await database.sql("GRANT changeover_app TO stranger");
    expect(await stranger.journal.read()).toEqual([]);
  });
});

describe("making the tables", () => {
  it("may be done by several at once, in several databases, and again; what is there stays", async () => {
    const other = await newDatabase(database.serverUrl);
    const { journal } = await database.ports("a");
    await journal.append(anEntry(at));
    await Promise.all([other, other, database.url, other].map((url) => migrateFleet(url)));
    expect(await journal.read()).toEqual([anEntry(at)]);
    const elsewhere = await database.ports("a", { url: other });
    expect(await elsewhere.journal.read()).toEqual([]);
  });

  it.each([
    ["before it listens already", 1],
    ["only once it listens", 50],
  ])(
    "is asked for by name where it was not done, when a look finds out %s",
    async (_, rereadMs) => {
      const url = await newDatabase(database.serverUrl);
      const { fleet } = await database.ports("a", { url, rereadMs });
      const named = {
        code: "POSTGRES_NOT_MIGRATED",
        message: expect.stringContaining("migrateFleet()"),
      };
      await expect(fleet.load()).rejects.toMatchObject(named);
      // Notifications would come through, but there is nothing to read: that is not being connected.
      fleet.start();
      await until(
        () => fleet.problem,
        (problem) => problem !== null,
      );
      expect(fleet.problem).toMatchObject(named);
      expect(fleet.connected).toBe(false);
      await migrateFleet(url);
      await until(
        () => fleet.connected,
        (connected) => connected,
      );
      expect(database.problems).toMatchObject([named]);
    },
  );

  it("does not take a password that is short or not plain", async () => {
    for (const password of [
      "short",
      "fifteen letters",
      "with a space in the middle",
      "ünïcödé-ünïcödé",
    ]) {
      await expect(migrateFleet(database.url, { appPassword: password })).rejects.toMatchObject({
        code: "CONFIG_INVALID",
      });
    }
  });
});

describe("a failure", () => {
  const secret = "s3cr3t-p4ssw0rd";
  const changed = (change: (url: URL) => void): string => {
    const url = new URL(database.url);
    url.password = secret;
    change(url);
    return url.href;
  };

  it.each([
    ["a wrong password", "POSTGRES_REFUSED", () => changed(() => undefined)],
    [
      "no such database",
      "POSTGRES_REFUSED",
      () =>
        changed((url) => {
          url.pathname = "/none";
          url.password = new URL(database.url).password;
        }),
    ],
    [
      "a closed port",
      "POSTGRES_UNAVAILABLE",
      () =>
        changed((url) => {
          url.port = "1";
        }),
    ],
    [
      "an unknown host",
      "POSTGRES_UNAVAILABLE",
      () =>
        changed((url) => {
          url.hostname = "nowhere.invalid";
        }),
    ],
    [
      "another protocol",
      "CONFIG_INVALID",
      () => changed(() => undefined).replace("postgres", "mysql"),
    ],
    [
      "a password that is not encoded",
      "CONFIG_INVALID",
      () => `postgres://user:${secret}#/?@host:x/db`,
    ],
  ])("by %s has its code, and no password anywhere in it", async (_, code, urlOf) => {
    const url = urlOf();
    const open = async () =>
      (
        await openPostgres({ url, instance: "a", clock: systemClock, report: () => undefined })
      ).fleet.load();
    for (const outcome of await Promise.allSettled([open(), migrateFleet(url)])) {
      const error = outcome.status === "rejected" ? outcome.reason : null;
      expect(codeOf(error)).toBe(code);
      const shown = inspect(error, { depth: 20, showHidden: true });
      expect(shown).not.toContain(new URL(database.url).password);
      expect(shown).not.toContain(secret);
    }
  });
});
