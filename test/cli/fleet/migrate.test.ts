import { randomBytes } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { newDatabase } from "../../postgres/database.ts";
import { startTestPostgres, type TestPostgres } from "../../support/postgres.ts";
import { TestFolder } from "../../support/test-folder.ts";
import { changeover, errorOf, type Ran } from "../command-line.ts";

vi.setConfig({ testTimeout: 90_000 });

const secret = "s3cr3t-p4ssw0rd";

describe("changeover fleet migrate", () => {
  const folder = new TestFolder();
  let server: TestPostgres;
  let owner: pg.Client;
  let url: string;
  beforeAll(async () => {
    server = await startTestPostgres();
    url = await newDatabase(server.url);
    owner = new pg.Client(url);
    await owner.connect();
  });
  afterAll(async () => {
    await owner?.end();
    await server?.close();
    await folder.remove();
  });

  const run = (address: string, ...words: string[]): Promise<Ran> =>
    changeover(["fleet", ...words, "--data-dir", folder.in("data")], {
      environment: { CHANGEOVER_POSTGRES_URL: address },
    });
  const refused = async (address: string): Promise<ReturnType<typeof errorOf>> => {
    const ran = await run(address, "migrate", "--json");
    expect(ran.stdout).toBe("");
    expect(ran.code).not.toBe(0);
    expect(ran.stderr).not.toContain(secret);
    return errorOf(ran);
  };
  const changed = (address: string, parts: Partial<URL>): string =>
    Object.assign(new URL(address), { password: secret, ...parts }).href;

  it("makes the tables, and changes nothing when it is run again", async () => {
    const made = { code: 0, stdout: "The fleet's tables are up to date.\n", stderr: "" };
    expect(await run(url, "migrate")).toMatchObject(made);
    await owner.query(
      `INSERT INTO changeover.journal (at, operation, kind, actor_type, actor_name, why, evidence)
       VALUES (now(), 'a.b', 'trip', 'rule', 'x', 'x', '{}')`,
    );
    expect(await run(url, "migrate")).toMatchObject(made);
    const { rows } = await owner.query("SELECT operation FROM changeover.journal");
    expect(rows).toEqual([{ operation: "a.b" }]);
    const { stdout } = await run(url);
    expect(stdout).toMatch(/^No instance reported to the Postgres of CHANGEOVER_POSTGRES_URL/);
  });

  it("says what is wrong with an address, and never its password", async () => {
    expect(await refused(changed(url, {}))).toMatchObject({
      code: "POSTGRES_REFUSED",
      message: expect.stringContaining("password authentication failed"),
    });
    const nowhere = await refused(changed(url, { port: "1" }));
    expect(nowhere.code).toBe("POSTGRES_UNAVAILABLE");
    // It ran once and is over: nothing tries again.
    expect(nowhere.message).toMatch(/do it again/);
    expect(nowhere.message).not.toMatch(/by itself/);
    expect(await refused(`postgres://user:${secret}#x@127.0.0.1:1/db`)).toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringMatching(/CHANGEOVER_POSTGRES_URL.*percent-encoded/),
    });
    expect(await refused("")).toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("Set CHANGEOVER_POSTGRES_URL"),
    });
  });

  it("tells a login without rights which ones it needs; with them it does as it was told", async () => {
    expect((await run(url, "migrate")).code).toBe(0);
    const database = await newDatabase(server.url);
    const role = `migrator_${randomBytes(6).toString("hex")}`;
    const login = changed(database, { username: role });
    await owner.query(`CREATE ROLE ${role} LOGIN PASSWORD '${secret}'`);
    const told = { code: "POSTGRES_FORBIDDEN", message: expect.stringContaining("CREATEROLE") };
    expect(await refused(login)).toMatchObject(told);
    const name = new URL(database).pathname.slice(1);
    await owner.query(`ALTER DATABASE ${name} OWNER TO ${role}`);
    // The role belongs to the whole server, and another login made it.
    expect(await refused(login)).toMatchObject({
      ...told,
      message: expect.stringContaining("GRANT changeover_app TO"),
    });
    await owner.query(`GRANT changeover_app TO ${role}`);
    expect((await run(login, "migrate")).code).toBe(0);
  });
});
