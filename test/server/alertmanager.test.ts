import { request } from "undici";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Operator } from "../../src/app/operator.ts";
import type { Snapshot } from "../../src/app/snapshot.ts";
import { systemClock } from "../../src/base/clock.ts";
import { type Changeover, createChangeover } from "../../src/changeover.ts";
import { staticFlags } from "../../src/flags/static-flags.ts";
import { FaultSwitch } from "../../src/rehearsal/faults.ts";
import { createGateway, type Gateway } from "../../src/server/gateway.ts";
import { makeApp, operatorToken } from "../support/gateway-app.ts";

type Labels = Readonly<Record<string, string>>;

const alert = (labels: Labels, status = "firing") => ({
  status,
  labels: { alertname: "CandidateFails", ...labels },
  annotations: { summary: "12 % of the candidate's calls fail" },
});

describe("the rollback webhook for Alertmanager", () => {
  let changeover: Changeover;
  let gateway: Gateway;
  let url: string;
  let close: () => Promise<unknown>;

  beforeEach(async () => {
    changeover = await createChangeover({
      flags: staticFlags({ "files.upload": 10, "files.list": 50 }),
    });
    for (const name of ["files.upload", "files.list"]) {
      const path = (): Promise<number> => Promise.resolve(1);
      changeover.migrate<number, number>({ name, kind: "read", legacy: path, candidate: path });
    }
    const { app } = await makeApp();
    const operations = () =>
      changeover.operations.map(({ name, latch }) => {
        return { name, latch: latch.record, flag: changeover.flags.state(name) };
      });
    gateway = createGateway({
      ...app,
      control: new Operator({ changeover, faults: new FaultSwitch(), clock: systemClock }),
      snapshot: () => ({ operations: operations() }) as unknown as Snapshot,
    });
    ({ url } = await gateway.listen());
    close = () => Promise.all([gateway.close(0), changeover.close(), app.close()]);
  });
  afterEach(() => close());

  const deliver = async (alerts: unknown, token = operatorToken) => {
    const answer = await request(`${url}/hooks/alertmanager`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ version: "4", status: "firing", groupKey: "{}", alerts }),
    });
    return { status: answer.statusCode, json: (await answer.body.json()) as object };
  };
  const tripped = () =>
    changeover.operations.filter(({ latch }) => latch.tripped).map(({ name }) => name);
  const rollbacks = async () =>
    (await changeover.journal.read()).filter(({ kind }) => kind === "rollback");

  it("rolls back the operation that a firing alert names, with the alert as the reason", async () => {
    const { status, json } = await deliver([alert({ action: "rollback", operation: "upload" })]);
    expect([status, json]).toEqual([
      200,
      { results: [{ operation: "files.upload", result: "rolled-back" }], ignored: 0 },
    ]);
    expect(tripped()).toEqual(["files.upload"]);
    expect(changeover.flags.state("files.upload")?.percentage).toBe(0);
    expect((await rollbacks())[0]).toMatchObject({
      actor: { type: "person", name: "alertmanager" },
      why: "CandidateFails: 12 % of the candidate's calls fail",
    });
  });

  it("does nothing more when the same alert is delivered a hundred times", async () => {
    const firing = [alert({ action: "rollback", operation: "files.upload" })];
    await deliver(firing);
    for (let time = 0; time < 99; time += 1) {
      const { status, json } = await deliver(firing);
      expect([status, json]).toMatchObject([200, { results: [{ result: "already" }] }]);
    }
    expect(await rollbacks()).toHaveLength(1);
    expect(changeover.operations.map(({ latch }) => latch.epoch)).toEqual([1, 0]);
  });

  it.each([
    ["a resolved alert", alert({ action: "rollback", operation: "upload" }, "resolved")],
    ["an alert without the label action", alert({ operation: "upload" })],
    ["an alert that asks for something else", alert({ action: "page", operation: "upload" })],
  ])("ignores %s", async (_what, given) => {
    expect(await deliver([given])).toEqual({ status: 200, json: { results: [], ignored: 1 } });
    expect(tripped()).toEqual([]);
  });

  it("does not re-arm what a resolved alert had rolled back", async () => {
    const labels = { action: "rollback", operation: "upload" };
    await deliver([alert(labels)]);
    await deliver([alert(labels, "resolved")]);
    expect(tripped()).toEqual(["files.upload"]);
  });

  it("rolls back every operation for `all`, once each", async () => {
    const { json } = await deliver([
      alert({ action: "rollback", operation: "all" }),
      alert({ action: "rollback", operation: "all" }),
    ]);
    expect(json).toMatchObject({ results: [{}, {}] });
    expect(tripped()).toEqual(["files.upload", "files.list"]);
  });

  it.each([
    ["an unknown operation", [alert({ action: "rollback", operation: "nope" })], 404],
    ["no operation at all", [alert({ action: "rollback" })], 400],
    ["something that is no list of alerts", "text", 400],
  ])("refuses %s", async (_what, alerts, expected) => {
    expect((await deliver(alerts)).status).toBe(expected);
    expect(tripped()).toEqual([]);
  });

  it("answers nobody without the operator token", async () => {
    const firing = [alert({ action: "rollback", operation: "upload" })];
    for (const token of ["wrong", operatorToken.slice(1)]) {
      expect((await deliver(firing, token)).status).toBe(401);
    }
    expect(tripped()).toEqual([]);
  });
});
