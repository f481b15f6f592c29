import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createGateway } from "../../src/server/gateway.ts";
import { bearerOf, SecretTable } from "../../src/server/identity/secret.ts";
import { checkHost, checkSite, isLoopbackHost } from "../../src/server/identity/site-check.ts";
import { makeApp, operatorToken, startGateway, type TestGateway } from "../support/gateway-app.ts";
import { sendRaw } from "../support/raw-http.ts";

type Headers = Readonly<Record<string, string>>;
const bearer = (key: string): Headers => ({ authorization: `Bearer ${key}` });

describe("a gateway with keys", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({
      owners: { "key-of-ann": "ann", "key-of-bob": "bob", "second-key-of-ann": "ann" },
    });
  });
  afterAll(() => gateway.close());
  const get = (path: string, headers: Headers = {}) =>
    request(`${gateway.url}${path}`, { headers });
  const upload = async (key: string): Promise<string> => {
    const url = `${gateway.url}/v1/files/of-${key}.txt?purpose=user_data`;
    const { body } = await request(url, { method: "PUT", body: "x", headers: bearer(key) });
    return ((await body.json()) as { id: string }).id;
  };

  it("lets nobody in without a key that it knows", async () => {
    const wrong: Headers[] = [
      {},
      bearer("key-of-eve"),
      bearer("key-of-an"),
      { authorization: "key-of-ann" },
      { authorization: "Basic key-of-ann" },
      bearer(operatorToken),
    ];
    for (const headers of wrong) {
      const { statusCode, headers: answer, body } = await get("/v1/files", headers);
      expect(statusCode).toBe(401);
      expect(answer["www-authenticate"]).toBe("Bearer");
      expect(await body.json()).toMatchObject({
        error: { code: "GATEWAY_UNAUTHORISED", type: "authentication_error" },
      });
    }
  });

  it("refuses an upload without a key before it reads the body", async () => {
    const url = `${gateway.url}/v1/files/a.txt`;
    const { statusCode, body } = await request(url, { method: "PUT", body: Buffer.alloc(5e6) });
    expect(statusCode).toBe(401);
    await body.dump();
    expect(await gateway.spooled()).toEqual([]);
  });

  it("shows an owner only the owner's files, whichever key was used", async () => {
    const id = await upload("key-of-ann");
    const own = await get(`/v1/files/${id}`, bearer("second-key-of-ann"));
    expect(own.statusCode).toBe(200);
    await own.body.dump();
    for (const path of [`/v1/files/${id}`, `/v1/files/${id}/content`]) {
      const other = await get(path, bearer("key-of-bob"));
      expect(other.statusCode).toBe(404);
      await other.body.dump();
    }
    const list = await get("/v1/files", bearer("key-of-bob"));
    expect(await list.body.json()).toMatchObject({ data: [] });
    const gone = await request(`${gateway.url}/v1/files/${id}`, {
      method: "DELETE",
      headers: bearer("key-of-bob"),
    });
    expect(gone.statusCode).toBe(404);
    await gone.body.dump();
    expect(gateway.store.files.has(id)).toBe(true);
  });

  it("routes by the owner, so that one owner stays on one path", async () => {
    await (await get("/v1/files", bearer("second-key-of-ann"))).body.dump();
    expect(gateway.legacy.listed.at(-1)?.key).toBe("ann");
  });
});

describe("a gateway without keys", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({ flags: { "files.list": 50 } });
  });
  afterAll(() => gateway.close());

  it("has one owner, routes each call by its request id, and asks for no key", async () => {
    const headers = { "x-request-id": "request-1", authorization: "Bearer whatever" };
    const { statusCode, body } = await request(`${gateway.url}/v1/files`, { headers });
    expect(statusCode).toBe(200);
    await body.dump();
    const calls = [...gateway.legacy.listed, ...gateway.candidate.listed];
    expect(calls.map(({ key }) => key)).toEqual(["request-1"]);
    const put = await request(`${gateway.url}/v1/files/a.txt`, { method: "PUT", body: "x" });
    await put.body.dump();
    expect([...gateway.store.files.values()].map(({ file }) => file.owner)).toEqual(["local"]);
  });

  it("sends some calls to each path at 50 %", async () => {
    const seen = new Set<unknown>();
    for (let index = 0; index < 40; index += 1) {
      const headers = { "x-request-id": `request-${index}` };
      const answer = await request(`${gateway.url}/v1/files`, { headers });
      await answer.body.dump();
      seen.add(answer.headers["x-changeover-path"]);
    }
    expect([...seen].sort()).toEqual(["candidate", "legacy"]);
  });
});

describe("an operator", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({ flags: { "files.list": 0 } });
  });
  afterAll(() => gateway.close());
  const list = (headers: Headers) => request(`${gateway.url}/v1/files`, { headers });

  it("may choose path and routing key of a call, with the token", async () => {
    const { statusCode, headers, body } = await list({
      "x-changeover-token": operatorToken,
      "x-changeover-path": "candidate",
      "x-changeover-key": "some-key",
    });
    expect(statusCode).toBe(200);
    expect(headers["x-changeover-path"]).toBe("candidate");
    expect(headers["x-changeover-reason"]).toBe("override");
    await body.dump();
  });

  it.each([
    { "x-changeover-path": "candidate" },
    { "x-changeover-key": "k" },
    { "x-changeover-path": "candidate", "x-changeover-token": "wrong" },
    { "x-changeover-path": "candidate", "x-changeover-token": "" },
    { "x-changeover-path": "candidate", authorization: `Bearer ${operatorToken}` },
  ] as Headers[])("needs the token for %o", async (headers) => {
    const { statusCode, body } = await list(headers);
    expect(statusCode).toBe(403);
    expect(await body.json()).toMatchObject({ error: { code: "GATEWAY_OPERATOR_TOKEN_REQUIRED" } });
  });

  it.each([
    { "x-changeover-path": "fastest" },
    { "x-changeover-path": "" },
    { "x-changeover-key": "" },
    { "x-changeover-key": "a b" },
    { "x-changeover-key": "k".repeat(257) },
  ] as Headers[])("is told of a value that cannot be: %o", async (headers) => {
    const { statusCode, body } = await list({ ...headers, "x-changeover-token": operatorToken });
    expect(statusCode).toBe(400);
    expect(await body.json()).toMatchObject({ error: { code: "GATEWAY_INVALID_HEADER" } });
  });
});

describe("a gateway on loopback", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway();
  });
  afterAll(() => gateway.close());
  const send = (lines: readonly string[]): Promise<string> =>
    sendRaw(gateway.port, `${[...lines, "connection: close"].join("\r\n")}\r\n\r\n`);

  it("answers only to this machine's own names", async () => {
    for (const host of ["127.0.0.1", "localhost", "LOCALHOST:8787", "[::1]:8787"]) {
      expect(await send(["GET /livez HTTP/1.1", `host: ${host}`])).toMatch(/^HTTP\/1.1 200/);
    }
    for (const host of [
      "evil.example",
      "127.0.0.1.evil.example",
      "localhost.evil.example:80",
      "",
    ]) {
      const answer = await send(["GET /v1/files HTTP/1.1", `host: ${host}`]);
      expect(answer).toMatch(/^HTTP\/1.1 403/);
      expect(answer).toContain("GATEWAY_HOST_REFUSED");
    }
  });

  it("takes no change from a page of another site, and lets none read its answers", async () => {
    for (const line of [
      "origin: https://evil.example",
      "origin: null",
      "sec-fetch-site: cross-site",
    ]) {
      const put = ["PUT /v1/files/a.txt HTTP/1.1", "host: localhost", "content-length: 0", line];
      expect(await send(put)).toContain("GATEWAY_CROSS_SITE");
    }
    const own = [`host: localhost:${gateway.port}`, `origin: http://localhost:${gateway.port}`];
    const put = ["PUT /v1/files/a.txt?purpose=user_data HTTP/1.1", "content-length: 0", ...own];
    expect(await send(put)).toMatch(/^HTTP\/1.1 201/);
    const get = await send([
      "GET /v1/files HTTP/1.1",
      "host: localhost",
      "origin: https://evil.example",
    ]);
    expect(get).toMatch(/^HTTP\/1.1 200/);
    expect(get).not.toMatch(/access-control/i);
  });
});

describe("a gateway for strangers", () => {
  it("is refused without keys", async () => {
    for (const host of ["0.0.0.0", "::", "192.0.2.1", "files.example.com"]) {
      const { app } = await makeApp({ environment: { CHANGEOVER_HOST: host } });
      await expect(createGateway(app).listen()).rejects.toMatchObject({
        code: "GATEWAY_OFF_LOOPBACK",
        message: expect.stringContaining("CHANGEOVER_KEYS_FILE"),
      });
      await app.close();
    }
  });

  it("shows metrics only to operators, and answers to any name", async () => {
    const gateway = await startGateway({
      owners: { key: "ann" },
      environment: { CHANGEOVER_HOST: "0.0.0.0" },
    });
    const url = `http://127.0.0.1:${gateway.port}`;
    const refused = await request(`${url}/metrics`, { headers: { host: "files.example.com" } });
    expect(refused.statusCode).toBe(401);
    await refused.body.dump();
    const metrics = await request(`${url}/metrics`, { headers: bearer(operatorToken) });
    expect(metrics.statusCode).toBe(200);
    expect(await metrics.body.text()).toContain("changeover_calls_total");
    await gateway.close();
  });
});

describe("the checks by themselves", () => {
  it("know loopback addresses", () => {
    for (const host of ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"]) {
      expect(isLoopbackHost(host)).toBe(true);
    }
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.evil.example", "localhost.evil"]) {
      expect(isLoopbackHost(host)).toBe(false);
    }
  });

  it("do not ask for a host off loopback, and allow a configured one on it", () => {
    expect(() => checkHost("any.example", "0.0.0.0")).not.toThrow();
    expect(() => checkHost("127.0.0.5:80", "127.0.0.5")).not.toThrow();
    expect(() => checkHost(undefined, "127.0.0.1")).toThrow(/not served/);
  });

  it("leave requests that only read alone", () => {
    const headers = { "sec-fetch-site": "cross-site" };
    expect(() => checkSite({ method: "GET", headers })).not.toThrow();
    expect(() => checkSite({ method: "POST", headers })).toThrow(/another site/);
  });

  it("find a secret among many, whole secrets only", () => {
    const secrets = new SecretTable([
      ["first", 1],
      ["second", 2],
      ["", 3],
    ]);
    expect(secrets.find("second")).toBe(2);
    expect(secrets.find("secon")).toBeNull();
    expect(secrets.find("First")).toBeNull();
  });

  it("read bearers of any case and nothing else", () => {
    expect(bearerOf("bearer  abc ")).toBe("abc");
    for (const value of [undefined, "", "Bearer", "Bearer a b", "Basic abc"]) {
      expect(bearerOf(value)).toBeNull();
    }
  });
});
