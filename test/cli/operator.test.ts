import { cpSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { bucketOf } from "../../src/flags/bucket.ts";
import { eachTestFolder, TestFolder } from "../support/test-folder.ts";
import {
  changeover,
  errorOf,
  type Ran,
  repository,
  type Started,
  startChangeover,
} from "./command-line.ts";

vi.setConfig({ testTimeout: 90_000 });

const value = <T>(ran: Ran): T => JSON.parse(ran.stdout) as T;

interface Flag {
  readonly operation: string;
  readonly percentage: number;
}

describe("an operator's commands while nothing runs", () => {
  const folder = eachTestFolder();
  const run = (...words: string[]): Promise<Ran> =>
    changeover([...words, "--json", "--data-dir", folder.in("data")]);

  it("work on the data folder itself, and say so", async () => {
    const set = await changeover(["flags", "set", "upload", "50", "--data-dir", folder.in("data")]);
    expect(set).toMatchObject({ code: 0, stderr: "" });
    expect(set.stdout).toMatch(/files\.upload +50 % +0 % +set by /);
    expect(set.stdout).toContain("nothing is running");
    const shown = value<{ flags: Flag[] }>(await run("flags", "show"));
    expect(shown.flags.find(({ operation }) => operation === "files.upload")?.percentage).toBe(50);
  });

  it("keep a rollback until it is re-armed, and 0 % after that", async () => {
    const rolledBack = await run("rollback", "upload", "--reason", "wrong hashes");
    expect(rolledBack.code).toBe(0);
    expect(value(rolledBack)).toMatchObject({ complete: true });
    const held = await run("flags", "set", "upload", "10");
    expect([held.code, errorOf(held).code]).toEqual([3, "FLAGS_HELD"]);
    const why = value<{ path: string; reason: string }>(await run("why", "upload", "some-key"));
    expect(why).toMatchObject({
      path: "legacy",
      reason: "latched",
      bucket: bucketOf("files", "some-key"),
      flag: { percentage: 0, enabled: false },
      latch: { tripped: true, reason: "wrong hashes" },
      verdict: { verdict: "inconclusive" },
    });
    const told = await changeover(["why", "upload", "k", "--data-dir", folder.in("data")]);
    const bucket = bucketOf("files", "k");
    expect(told.stdout).toMatch(/^files\.upload with key "k" goes to legacy, because of latched$/m);
    expect(told.stdout).toContain(`${bucket} of 100: the candidate's from ${bucket} % on, not yet`);
    expect(told.stdout).toMatch(/^ +flag +off, 0 %, 0 % in the shadow; /m);
    expect(told.stdout).toMatch(/^ +latch +TRIPPED since .* by person .*: wrong hashes$/m);
    expect(told.stdout).toMatch(
      /^ +verdict +inconclusive: The candidate has not had a call yet\./m,
    );
    const rearmed = await run("rearm", "upload");
    expect(value(rearmed)).toMatchObject({ reports: [{ flag: { percentage: 0 } }] });
    expect((await run("flags", "set", "upload", "10")).code).toBe(0);
    const journal = value<{ kind: string; why: string }[]>(
      await run("journal", "--operation", "upload"),
    );
    expect(journal.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["flag", "rearm"]));
    expect(journal.map(({ why: reason }) => reason)).toContain("wrong hashes");
  });

  it.each<[string[], RegExp]>([
    [["flags", "set", "upload", "5"], /^Nothing is running: .*start with --flags file\./m],
    [["rollback", "upload"], /^The latch counts however you start.*\n.*start with --flags file\./m],
    [["rearm", "upload"], /^The latch counts however you start.*\n.*start with --flags file\./m],
    [["rollout", "start", "upload"], /^Nothing is running: .*start with --flags file\./m],
  ])("say of %j that a plain start does not take it up", async (words, told) => {
    const environment = { CHANGEOVER_FLAGS: "" };
    const ran = await changeover([...words, "--data-dir", folder.in("data")], { environment });
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringMatching(told) });
  });

  it("name no other way to start where flags come from files anyway, and none where nothing was done", async () => {
    const words = ["upload", "--data-dir", folder.in("data")];
    const dry = await changeover(["rollout", "start", ...words, "--dry-run"]);
    expect(dry).toMatchObject({ code: 0, stdout: expect.not.stringContaining("takes effect") });
    const { stdout } = await changeover(["rollout", "start", ...words]);
    expect(stdout).toMatch(/^Nothing is running: .* takes effect with changeover start\.$/m);
    expect(stdout).not.toContain("--flags file");
  });

  it.each<[string[], string, number, RegExp]>([
    [["flags", "set", "upload", "150"], "CLI_USAGE", 2, /"150".*from 0 to 100/],
    [["flags", "set", "upload", "abc"], "CLI_USAGE", 2, /"abc".*from 0 to 100/],
    [["flags", "set", "upload"], "CLI_USAGE", 2, /percentage, --shadow/],
    [["flags", "set", "uplaod", "5"], "MIGRATION_UNKNOWN_OPERATION", 2, /uplaod.*files\.upload/],
    [["rollback"], "CLI_USAGE", 2, /--all/],
    [["rollback", "upload", "--all"], "CLI_USAGE", 2, /--all/],
    [["sandbox", "fault", "both", "--off"], "CLI_USAGE", 2, /legacy or candidate/],
    [["sandbox", "fault", "candidate"], "CLI_USAGE", 2, /--error-rate/],
    [["sandbox", "fault", "candidate", "--off"], "CLI_NOT_RUNNING", 4, /changeover start/],
  ])("refuse %j", async (words, code, exit, message) => {
    const ran = await run(...words);
    expect(ran.code).toBe(exit);
    expect(errorOf(ran)).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("show what is wrong with a flag file", async () => {
    cpSync(`${repository}/flags`, folder.in("flags"), { recursive: true });
    writeFileSync(folder.in("flags", "files.list.json"), "{");
    const environment = { CHANGEOVER_FLAGS_DIR: folder.in("flags") };
    const words = ["--json", "--data-dir", folder.in("data")];
    const [status, doctor] = await Promise.all([
      changeover(["status", ...words], { environment }),
      changeover(["doctor", ...words], { environment }),
    ]);
    expect(status.code).toBe(0);
    expect(value(status)).toMatchObject({
      flags: {
        problems: [{ subject: "files.list.json", message: expect.stringMatching(/not JSON/) }],
      },
    });
    expect(doctor.code).toBe(1);
    expect(
      value<{ checks: { name: string; result: string; detail: string }[] }>(doctor).checks,
    ).toContainEqual(
      expect.objectContaining({
        name: "flags",
        result: "fail",
        detail: expect.stringContaining("files.list.json"),
      }),
    );
  });
});

describe("an operator's commands while changeover runs", () => {
  const folder = new TestFolder();
  let started: Started;
  beforeAll(async () => {
    started = await startChangeover(folder.in("data"));
  });
  afterAll(async () => {
    started?.child.kill("SIGTERM");
    await started?.end;
    await folder.remove();
  });
  const run = (...words: string[]): Promise<Ran> =>
    changeover([...words, "--json", "--data-dir", folder.in("data")]);

  it("go to that process, also by its address alone", async () => {
    const status = value<{ pid: number }>(await run("status"));
    expect(status.pid).toBe(started.pid);
    const byAddress = await run("status", "--gateway", started.gateway);
    expect(value<{ pid: number }>(byAddress).pid).toBe(started.pid);
    const said = await changeover(["status", "--data-dir", folder.in("data")]);
    expect(said.stdout).toContain(`through the running process at ${started.gateway}`);
    expect(said.stdout).toMatch(/^files\.upload +0 % +armed +\w+ +0 of 0 /m);
  });

  it("move its traffic, and roll it back", async () => {
    const set = await run("flags", "set", "list", "100", "--reason", "trying");
    expect(value(set)).toMatchObject({ operation: "files.list", percentage: 100 });
    const path = async (): Promise<string | null> =>
      (await fetch(`${started.gateway}/v1/files`)).headers.get("x-changeover-path");
    expect(await path()).toBe("candidate");
    expect(value(await run("why", "list", "k"))).toMatchObject({ path: "candidate" });
    const rolledBack = await run("rollback", "--all");
    expect(value<{ reports: unknown[] }>(rolledBack).reports).toHaveLength(5);
    expect(rolledBack.code).toBe(0);
    expect(await path()).toBe("legacy");
    const held = await run("flags", "set", "list", "5");
    expect([held.code, errorOf(held).code]).toEqual([3, "FLAGS_HELD"]);
    expect((await run("rearm", "list")).code).toBe(0);
  });

  it("make a path fail on purpose, and stop it", async () => {
    const words = ["sandbox", "fault", "legacy"];
    const set = await run(...words, "--error-rate", "1");
    expect(value(set)).toMatchObject({ path: "legacy", fault: { errorRate: 1, latencyMs: 0 } });
    expect((await fetch(`${started.gateway}/v1/files`)).status).toBe(500);
    const off = await run(...words, "--off");
    expect(value(off)).toMatchObject({ path: "legacy", fault: { errorRate: 0, latencyMs: 0 } });
    expect((await fetch(`${started.gateway}/v1/files`)).status).toBe(200);
  });

  it("are refused without the operator's token", async () => {
    const words = ["status", "--json", "--gateway", started.gateway];
    const without = await changeover([...words, "--data-dir", folder.in("other")]);
    expect([without.code, errorOf(without).code]).toEqual([2, "CLI_NO_OPERATOR_TOKEN"]);
    const environment = { CHANGEOVER_OPERATOR_TOKEN: "not-the-operator-token" };
    const wrong = await changeover([...words, "--data-dir", folder.in("other")], { environment });
    expect([wrong.code, errorOf(wrong).code]).toEqual([2, "GATEWAY_OPERATOR_TOKEN_REQUIRED"]);
  });

  it("find nothing wrong", async () => {
    const doctor = await run("doctor");
    const { checks } = value<{ checks: { name: string; result: string }[] }>(doctor);
    const notOk = checks.filter(({ name, result }) => result === "fail" && name !== "disk");
    expect(notOk.filter(({ name }) => name !== "latches")).toEqual([]);
    expect(checks).toContainEqual(expect.objectContaining({ name: "gateway", result: "ok" }));
    expect(checks).toContainEqual(expect.objectContaining({ name: "backend", result: "ok" }));
  });
});
