import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@supabase/supabase-js";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { BackfillReport } from "../../../src/files/backfill/backfill.ts";
import { type Sandbox, startSandbox } from "../../../src/sandbox/sandbox.ts";
import { ended, errorOf, type Ran, spawnChangeover, until } from "../../cli/command-line.ts";
import { newDatabase } from "../../postgres/database.ts";
import { startTestPostgres, type TestPostgres } from "../../support/postgres.ts";

/** So long that a run which is to be cut off is never over before. */
const SLOW = ["--rate", "4", "--concurrency", "1"];

describe("a backfill that several machines share", { timeout: 60_000 }, () => {
  let folder: string;
  let sandbox: Sandbox;
  let server: TestPostgres;
  let rows: pg.Client;
  let owner: string;
  let prefix: string;
  let machines = 0;

  const client = () => {
    const { url, secretKey } = sandbox.addresses.supabase;
    return createClient(url, secretKey, { auth: { persistSession: false } });
  };
  const put = async (count: number, below = prefix): Promise<void> => {
    const { storage } = client();
    const bucket = storage.from(sandbox.addresses.supabase.bucket);
    for (let index = 0; index < count; index += 1) {
      const { error } = await bucket.upload(`${below}${index}.bin`, randomBytes(500));
      if (error !== null) throw error;
    }
  };
  /** Names of the owner's files. */
  const files = async (): Promise<string[]> => {
    const { data, error } = await client().from("files").select("name").eq("owner", owner);
    if (error !== null) throw error;
    return data.map(({ name }) => String(name));
  };
  const start = (words: readonly string[] = [], postgres: string = server.url): ChildProcess => {
    const { url, secretKey, bucket } = sandbox.addresses.supabase;
    machines += 1;
    const environment = {
      SUPABASE_URL: url,
      SUPABASE_SECRET_KEY: secretKey,
      SUPABASE_BUCKET: bucket,
      CHANGEOVER_POSTGRES_URL: postgres,
      CHANGEOVER_DATA_DIR: join(folder, `machine-${machines}`),
    };
    const all = ["backfill", "--owner", owner, "--prefix", prefix, "--batch-size", "5", "--json"];
    return spawnChangeover([...all, ...words], { environment });
  };
  const run = (words: readonly string[] = [], postgres?: string): Promise<Ran> =>
    ended(start(words, postgres));
  const reportOf = ({ code, stdout, stderr }: Ran): BackfillReport => {
    if (code !== 0) throw new Error(`It ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as BackfillReport;
  };
  const active = async (): Promise<number> => {
    const { rows: found } = await rows.query(
      "SELECT count(*)::int AS active FROM changeover_queue.job WHERE state = 'active'",
    );
    return found[0].active;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "changeover-shared-backfill-"));
    [sandbox, server] = await Promise.all([
      startSandbox({ dataDir: join(folder, "sandbox") }),
      startTestPostgres(),
    ]);
    rows = new pg.Client(server.url);
    rows.on("error", () => undefined);
    await rows.connect();
  });
  beforeEach(() => {
    owner = `owner-${randomBytes(4).toString("hex")}`;
    prefix = `before-${randomBytes(4).toString("hex")}/`;
  });
  afterAll(async () => {
    await rows?.end();
    await Promise.all([sandbox?.close(), server?.close()]);
    await rm(folder, { recursive: true, force: true });
  });

  it("takes each object in once with two at once, and both tell the whole", async () => {
    await put(40);
    const both = [start(["--rate", "20"]), start(["--rate", "20"])];
    const [one, two] = (await Promise.all(both.map(ended))).map(reportOf);
    if (one === undefined || two === undefined) throw new Error("There were two.");
    for (const { objects, adopted, known, failed } of [one, two]) {
      expect({ objects, adopted, known, failed }).toEqual({
        ...{ objects: 40, adopted: 40, known: 0, failed: [] },
      });
    }
    expect(one.here.adopted + two.here.adopted).toBe(40);
    expect(Math.min(one.here.adopted, two.here.adopted)).toBeGreaterThan(0);
    expect([one, two].filter(({ listedHere }) => listedHere)).toHaveLength(1);
    expect(new Set(await files()).size).toBe(40);
    expect(await files()).toHaveLength(40);
  });

  it("is finished by the other one when one is killed in the middle of a batch", async () => {
    await put(30);
    const dying = start(SLOW);
    const dead = ended(dying);
    await until(async () => (await files()).length >= 2);
    const surviving = run();
    dying.kill("SIGKILL");
    await dead;
    const report = reportOf(await surviving);
    expect(report).toMatchObject({ objects: 30, failed: [] });
    // What the killed one had done of its batch was found again.
    expect(report.known).toBeGreaterThanOrEqual(1);
    expect(new Set(await files()).size).toBe(30);
    expect(await files()).toHaveLength(30);
  });

  it("goes on where it was when it is run again after it was killed, and lists nothing twice", async () => {
    await put(30);
    const dying = start(SLOW);
    const dead = ended(dying);
    await until(async () => (await files()).length >= 7);
    dying.kill("SIGKILL");
    await dead;
    await put(3, `${prefix}later/`);
    const second = reportOf(await run());
    expect(second).toMatchObject({ objects: 30, failed: [], listedHere: false });
    expect(second.here.objects).toBeLessThanOrEqual(25);
    const third = reportOf(await run());
    expect(third).toMatchObject({ objects: 33, known: 30, adopted: 3, listedHere: true });
    expect(await files()).toHaveLength(33);
  });

  it("gives back at once what is unfinished on Ctrl-C", async () => {
    await put(20);
    const stopping = start(SLOW);
    const stopped = ended(stopping);
    await until(async () => (await files()).length >= 2);
    stopping.kill("SIGINT");
    expect(await stopped).toMatchObject({ code: 130 });
    expect(await active()).toBe(0);
    const report = reportOf(await run());
    expect(report).toMatchObject({ objects: 20, failed: [], listedHere: false });
    // What was done of the batch had been settled; one write may have been under way.
    expect(report.known).toBeLessThanOrEqual(1);
    expect(report.adopted).toBe(20 - report.known);
  });

  it("is not mixed up with another one on the same database", async () => {
    await put(6, `${prefix}a/`);
    await put(4, `${prefix}b/`);
    const [a, b, look] = await Promise.all([
      run(["--prefix", `${prefix}a/`]),
      run(["--prefix", `${prefix}b/`]),
      run(["--validate-only", "--owner", `${owner}-x`]),
    ]);
    expect(reportOf(a)).toMatchObject({ objects: 6, adopted: 6, here: { objects: 6 } });
    expect(reportOf(b)).toMatchObject({ objects: 4, adopted: 4, here: { objects: 4 } });
    expect(reportOf(look)).toMatchObject({ objects: 10, adopted: 10, bytes: 5000 });
    expect(await files()).toHaveLength(10);
  });

  it("writes nothing in a dry run, not even the queue, and needs no database to look", async () => {
    await put(3);
    const empty = await newDatabase(server.url);
    expect(reportOf(await run(["--dry-run"], empty))).toMatchObject({ objects: 3, adopted: 3 });
    const database = new pg.Client(empty);
    await database.connect();
    const { rows: schemas } = await database.query(
      "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'changeover%' OR nspname = 'pgboss'",
    );
    await database.end();
    expect(schemas).toEqual([]);
    expect(await files()).toEqual([]);
  });

  it("says which database it cannot use, and never its password", async () => {
    const nowhere = await run([], "postgres://me:hush-hush-1@127.0.0.1:1/none");
    expect(nowhere.code).toBe(5);
    expect(errorOf(nowhere).code).toBe("POSTGRES_UNAVAILABLE");
    expect(errorOf(nowhere).message).toContain("127.0.0.1:1/none");
    const wrong = new URL(server.url);
    wrong.password = "hush-hush-1";
    const refused = await run([], wrong.href);
    expect(refused.code).toBe(5);
    expect(errorOf(refused).code).toBe("POSTGRES_REFUSED");
    for (const { stdout, stderr } of [nowhere, refused]) {
      expect(stdout + stderr).not.toContain("hush-hush");
    }
  });

  it("works alone without a database, and with --no-queue beside one; --queue insists on one", async () => {
    await put(3);
    const none = await run(["--queue"], "");
    expect(none.code).toBe(2);
    expect(errorOf(none).code).toBe("CLI_NO_DATABASE");
    const bad = "postgres://me:hush-hush-1@127.0.0.1:1/none";
    expect(reportOf(await run(["--no-queue"], bad))).toMatchObject({ adopted: 3 });
    expect(reportOf(await run([], ""))).toMatchObject({ known: 3 });
  });
});
