import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { operatorToken, startGateway, type TestGateway } from "../support/gateway-app.ts";

describe("the control API, on rollouts", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({ flags: { "files.upload": 0 } });
  });
  afterAll(() => gateway.close());

  async function control(path: string, body?: unknown, token: string = operatorToken) {
    const answer = await request(`${gateway.url}/control/rollout${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.statusCode, json: await answer.body.json() };
  }

  const change = { by: "ann", reason: "a test" };

  it("needs the operator token", async () => {
    for (const [path, body] of [
      ["", undefined],
      ["/upload/start", change],
    ] as const) {
      expect((await control(path, body, "wrong")).status).toBe(401);
    }
    expect(gateway.commands).toEqual([]);
  });

  it("tells every rollout what a person says, with or without doing it", async () => {
    for (const command of ["start", "pause", "resume", "approve", "advance", "abort"]) {
      const { status, json } = await control(`/upload/${command}`, { ...change, dryRun: true });
      expect([status, json]).toMatchObject([200, { command, done: false }]);
    }
    expect(await control("/upload/start", change)).toMatchObject({ json: { done: true } });
    expect(gateway.commands.at(-1)).toEqual({
      command: "rollout start",
      name: "upload",
      change,
      dryRun: false,
    });
    expect((await control("")).json).toEqual({ rollouts: [] });
  });

  it.each([
    ["/upload/hurry", change, "command"],
    ["/upload/start", { by: "ann" }, "reason"],
    ["/upload/start", { reason: "x" }, "by"],
    ["/upload/start", { ...change, dryRun: "yes" }, "dryRun"],
    ["/upload/start", { ...change, colour: "red" }, "colour"],
  ])("refuses %s with %o, naming %s", async (path, body, param) => {
    const before = gateway.commands.length;
    expect(await control(path, body)).toMatchObject({
      status: 400,
      json: { error: { code: "GATEWAY_INVALID_REQUEST", param } },
    });
    expect(gateway.commands).toHaveLength(before);
  });
});
