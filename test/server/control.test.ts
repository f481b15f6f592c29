import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bucketOf } from "../../src/flags/bucket.ts";
import { operatorToken, startGateway, type TestGateway } from "../support/gateway-app.ts";
import { RawClient } from "../support/raw-http.ts";

interface Call {
  readonly method?: "GET" | "POST";
  readonly body?: unknown;
  readonly token?: string | null;
}

async function control(gateway: TestGateway, path: string, call: Call = {}) {
  const { body, token = operatorToken } = call;
  const { method = body === undefined ? "GET" : "POST" } = call;
  const headers = {
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { "content-type": "application/json" }),
  };
  const answer = await request(`${gateway.url}/control/${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const json = (await answer.body.json()) as Record<string, unknown>;
  return { status: answer.statusCode, headers: answer.headers, json };
}

describe("the control API", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({ flags: { "files.upload": 10, "files.list": 0 } });
  });
  afterAll(() => gateway.close());
  const change = { by: "ann", reason: "errors" };

  it.each([
    ["status", undefined],
    ["mismatches", undefined],
    ["journal", undefined],
    ["explain?operation=upload&key=k", undefined],
    ["flags/upload", { percentage: 1 }],
    ["rollback", { operation: "all", ...change }],
    ["rearm", { operation: "upload", ...change }],
    ["fault", { path: "candidate", errorRate: 1 }],
  ])("does not answer %s without the operator token", async (path, body) => {
    for (const token of [null, "", "wrong", operatorToken.slice(0, -1)]) {
      const { status, json } = await control(gateway, path, { body, token });
      expect(status).toBe(401);
      expect(json).toMatchObject({ error: { code: "GATEWAY_OPERATOR_TOKEN_REQUIRED" } });
    }
    expect(gateway.commands).toEqual([]);
  });

  it("shows the state, the mismatches and the journal", async () => {
    const status = await control(gateway, "status");
    expect(status.json).toMatchObject({ version: "0.1.0", pid: process.pid });
    expect(status.headers["cache-control"]).toBe("no-store");
    expect((await control(gateway, "mismatches")).json).toEqual({ mismatches: [] });
    const journal = await control(gateway, "journal?operation=upload&limit=5&since=2026-01-01");
    expect(journal.json).toEqual({ entries: [] });
  });

  it("explains where a key goes, and why", async () => {
    const { json } = await control(gateway, "explain?operation=list&key=ann");
    expect(json).toMatchObject({
      operation: "files.list",
      key: "ann",
      path: "legacy",
      reason: "flag-off",
      input: { hasKey: true },
      bucket: bucketOf("files", "ann"),
      flag: { operation: "files.list", percentage: 0 },
      latch: null,
      verdict: { verdict: "inconclusive" },
    });
  });

  it("sets shares, with or without words", async () => {
    const set = await control(gateway, "flags/upload", { body: { percentage: 50, shadow: 5 } });
    expect(set.json).toMatchObject({ percentage: 50, shadowPercentage: 5, enabled: true });
    expect(gateway.commands.at(-1)).toEqual({
      command: "set",
      name: "upload",
      values: { percentage: 50, shadow: 5 },
      change: { by: "operator", reason: "set over the control API" },
    });
    await control(gateway, "flags/upload", { body: { shadow: 0, ...change } });
    expect(gateway.commands.at(-1)).toMatchObject({ values: { shadow: 0 }, change });
  });

  it("rolls back one operation or all, and re-arms", async () => {
    const body = { operation: "upload", ...change };
    const one = await control(gateway, "rollback", { body });
    expect(one.status).toBe(200);
    expect(one.json).toMatchObject({ complete: true, reports: [{ operation: "files.upload" }] });
    const all = await control(gateway, "rollback", { body: { ...body, operation: "all" } });
    expect(all.json["reports"]).toHaveLength(5);
    const rearmed = await control(gateway, "rearm", { body });
    expect(rearmed.json).toMatchObject({ complete: true });
    expect(gateway.commands.slice(-3)).toEqual([
      { command: "rollback", name: "upload", change },
      { command: "rollback-all", change },
      { command: "rearm", name: "upload", change },
    ]);
  });

  it("sets a fault and ends it", async () => {
    const set = await control(gateway, "fault", { body: { path: "candidate", errorRate: 0.5 } });
    const none = { latencyMs: 0, unknownErrorRate: 0, mismatchRate: 0, leakBytes: 0 };
    expect(set.json).toEqual({ path: "candidate", fault: { errorRate: 0.5, ...none } });
    const ended = await control(gateway, "fault", { body: { path: "candidate" } });
    expect(ended.json).toMatchObject({ fault: { errorRate: 0, latencyMs: 0 } });
  });

  it.each([
    ["flags/upload", {}, "body"],
    ["flags/upload", { percentage: 101 }, "percentage"],
    ["flags/upload", { percentage: 0.5 }, "percentage"],
    ["flags/upload", { percentage: "10" }, "percentage"],
    ["flags/upload", { percentage: 1, enabled: true }, "enabled"],
    ["flags/upload", [], "body"],
    ["rollback", { operation: "all", by: "ann" }, "reason"],
    ["rollback", { operation: "all", by: "", reason: "x" }, "by"],
    ["rearm", { operation: 5, ...change }, "operation"],
    ["rearm", { operation: "upload", by: "ann", reason: "x".repeat(501) }, "reason"],
    ["fault", { path: "both" }, "path"],
    ["fault", { path: "legacy", errorRate: 2 }, "errorRate"],
    ["fault", { path: "legacy", latencyMs: -1 }, "latencyMs"],
    ["fault", { path: "legacy", unknownErrorRate: -0.1 }, "unknownErrorRate"],
    ["fault", { path: "legacy", mismatchRate: 1.1 }, "mismatchRate"],
    ["fault", { path: "legacy", leakBytes: 1e12 }, "leakBytes"],
  ])("refuses %s with %o, naming %s", async (path, body, param) => {
    const before = gateway.commands.length;
    const { status, json } = await control(gateway, path, { body });
    expect(status).toBe(400);
    expect(json).toMatchObject({ error: { code: "GATEWAY_INVALID_REQUEST", param } });
    expect(gateway.commands).toHaveLength(before);
  });

  it.each([
    ["explain?operation=upload", "key"],
    ["journal?limit=0", "limit"],
    ["mismatches/4f2a/vitest?module=", "module"],
    ["journal?since=yesterday", "since"],
  ])("refuses the query %s, naming %s", async (path, param) => {
    const { status, json } = await control(gateway, path);
    expect(status).toBe(400);
    expect(json).toMatchObject({ error: { param } });
  });

  it("names an operation nobody knows", async () => {
    const body = { operation: "fly", ...change };
    const { status, json } = await control(gateway, "rollback", { body });
    expect(json).toMatchObject({ error: { code: "MIGRATION_UNKNOWN_OPERATION" } });
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
  });

  it.each([
    ["{", 400],
    ["", 400],
    ['{"__proto__": {"x": 1}}', 400],
    [JSON.stringify({ operation: "all", by: "x", reason: "x".repeat(70_000) }), 413],
  ])("refuses a body that is no small JSON object", async (body, expected) => {
    const { status, json } = await control(gateway, "rollback", { body });
    expect(status).toBe(expected);
    expect(json).toHaveProperty("error.code", expect.stringMatching(/^GATEWAY_/));
  });

  it("refuses a body of another type", async () => {
    const { statusCode, body } = await request(`${gateway.url}/control/rollback`, {
      method: "POST",
      headers: { authorization: `Bearer ${operatorToken}`, "content-type": "text/plain" },
      body: JSON.stringify({ operation: "all", ...change }),
    });
    expect(statusCode).toBe(415);
    await body.dump();
  });
});

describe("a command that was not carried out in full", () => {
  it("fails for a script, and shows the steps", async () => {
    const gateway = await startGateway({ rollbackStep: "failed" });
    const body = { operation: "list", by: "ann", reason: "errors" };
    const { status, json } = await control(gateway, "rollback", { body });
    expect(status).toBe(502);
    expect(json).toMatchObject({
      complete: false,
      reports: [{ operation: "files.list", steps: [{ result: "failed" }] }],
      error: { code: "GATEWAY_CONTROL_INCOMPLETE" },
    });
    await gateway.close();
  });
});

describe("a JSON body that stops coming", () => {
  it("gets a 408", async () => {
    const gateway = await startGateway({ gateway: { limits: { jsonMs: 100 } } });
    const client = new RawClient(gateway.port);
    await client.write(
      [
        "POST /control/rollback HTTP/1.1",
        "host: localhost",
        `authorization: Bearer ${operatorToken}`,
        "content-type: application/json",
        "content-length: 100",
        "",
        '{"operation":',
      ].join("\r\n"),
    );
    await client.until("GATEWAY_BODY_IDLE");
    expect(client.received).toMatch(/^HTTP\/1.1 408/);
    client.destroy();
    await gateway.close();
  });
});
