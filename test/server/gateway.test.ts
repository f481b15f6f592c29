import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { request } from "undici";
import { describe, expect, it, vi } from "vitest";
import { createGateway } from "../../src/server/gateway.ts";
import { makeApp, startGateway, type TestGateway } from "../support/gateway-app.ts";
import { RawClient, sendRaw } from "../support/raw-http.ts";

const put = (gateway: TestGateway) =>
  request(`${gateway.url}/v1/files/a.txt?purpose=user_data`, { method: "PUT", body: "abc" });

/** Holds uploads until `go` is called; `started` resolves with the first. */
function holdUploads(gateway: TestGateway): { started: Promise<void>; go: () => void } {
  const started = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  gateway.legacy.beforeUpload = async (_request, { signal }) => {
    started.resolve();
    const aborted = once(signal, "abort").then(() => Promise.reject(signal.reason));
    await Promise.race([go.promise, aborted]);
  };
  return { started: started.promise, go: go.resolve };
}

describe("a gateway that is told to stop", () => {
  it("says so, refuses new calls, and lets those in flight end", async () => {
    const gateway = await startGateway();
    const { started, go } = holdUploads(gateway);
    const inFlight = put(gateway);
    await started;
    const closed = gateway.gateway.close(60_000);
    const ready = await request(`${gateway.url}/readyz`);
    expect(ready.statusCode).toBe(503);
    expect(await ready.body.json()).toMatchObject({
      ready: false,
      reasons: ["The gateway is shutting down."],
    });
    const refused = await request(`${gateway.url}/v1/files`);
    expect(refused.statusCode).toBe(503);
    expect(refused.headers["connection"]).toBe("close");
    expect(refused.headers["retry-after"]).toBe("1");
    expect(await refused.body.json()).toMatchObject({ error: { code: "GATEWAY_SHUTTING_DOWN" } });
    expect((await request(`${gateway.url}/livez`)).statusCode).toBe(200);
    go();
    const answer = await inFlight;
    expect(answer.statusCode).toBe(201);
    await answer.body.dump();
    await closed;
    await expect(request(`${gateway.url}/livez`)).rejects.toThrow();
    await gateway.close();
  });

  it("aborts what has not ended by the deadline, and leaves nothing in the spool", async () => {
    const gateway = await startGateway();
    const { started } = holdUploads(gateway);
    const inFlight = put(gateway);
    await started;
    await gateway.gateway.close(50);
    const answer = await inFlight;
    expect(answer.statusCode).toBe(503);
    expect(await answer.body.json()).toMatchObject({ error: { code: "GATEWAY_SHUTTING_DOWN" } });
    expect(await gateway.spooled()).toEqual([]);
    expect(gateway.gateway.callsInFlight).toBe(0);
    expect(gateway.store.files.size).toBe(0);
    await gateway.close();
  });

  it("cuts off a body that is still coming at the deadline", async () => {
    const gateway = await startGateway();
    const client = new RawClient(gateway.port);
    await client.write(
      "PUT /v1/files/a.txt HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nabc",
    );
    await vi.waitFor(async () => expect(await gateway.spooled()).toHaveLength(1));
    await gateway.gateway.close(10);
    await client.all();
    expect(await gateway.spooled()).toEqual([]);
    await gateway.close();
  });

  it("stops once, however often it is told", async () => {
    const gateway = await startGateway();
    await Promise.all([gateway.gateway.close(), gateway.gateway.close(), gateway.close()]);
  });
});

describe("health", () => {
  it("is live and ready, or ready for the app's own reasons not", async () => {
    const gateway = await startGateway();
    expect((await request(`${gateway.url}/livez`)).statusCode).toBe(200);
    const ready = await request(`${gateway.url}/readyz`);
    expect(ready.statusCode).toBe(200);
    expect(await ready.body.json()).toEqual({ ready: true, reasons: [] });
    await gateway.close();
    const sick = await startGateway({ reasons: ["No flags yet."] });
    const unready = await request(`${sick.url}/readyz`);
    expect(unready.statusCode).toBe(503);
    expect(await unready.body.json()).toEqual({ ready: false, reasons: ["No flags yet."] });
    expect((await request(`${sick.url}/livez`)).statusCode).toBe(200);
    await sick.close();
  });

  it("on loopback shows the metrics to anybody of this machine", async () => {
    const gateway = await startGateway();
    const { headers, body } = await request(`${gateway.url}/metrics`);
    expect(headers["content-type"]).toContain("text/plain");
    expect(await body.text()).toContain("changeover_calls_total 1");
    await gateway.close();
  });
});

describe("a gateway that cannot listen", () => {
  it("names the busy port and its setting", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const { app } = await makeApp({ environment: { CHANGEOVER_PORT: String(port) } });
    const failure = createGateway(app).listen();
    await expect(failure).rejects.toMatchObject({
      code: "GATEWAY_PORT_BUSY",
      message: expect.stringMatching(new RegExp(`${port}.*CHANGEOVER_PORT`)),
    });
    await app.close();
    other.close();
  });

  it("names an address that is not this machine's", async () => {
    const environment = { CHANGEOVER_HOST: "192.0.2.1" };
    const { app } = await makeApp({ environment, owners: { key: "ann" } });
    await expect(createGateway(app).listen()).rejects.toMatchObject({
      code: "GATEWAY_LISTEN_FAILED",
    });
    await app.close();
  });
});

describe("requests that fit no route", () => {
  it("get a 404 or a 405 that says what is possible", async () => {
    const gateway = await startGateway();
    const call = async (method: "GET" | "POST" | "PATCH" | "DELETE", path: string) => {
      const { statusCode, headers, body } = await request(`${gateway.url}${path}`, { method });
      return { statusCode, allow: headers["allow"], json: await body.json() };
    };
    expect(await call("GET", "/v2/files?key=secret")).toMatchObject({
      statusCode: 404,
      json: { error: { code: "GATEWAY_NO_ROUTE", message: expect.not.stringContaining("secret") } },
    });
    expect(await call("DELETE", "/v1/files")).toMatchObject({
      statusCode: 405,
      allow: "GET, HEAD, POST",
      json: { error: { code: "GATEWAY_METHOD_NOT_ALLOWED" } },
    });
    expect(await call("PATCH", "/v1/files/x")).toMatchObject({
      statusCode: 405,
      allow: "DELETE, GET, HEAD, PUT",
    });
    expect(await call("POST", "/metrics")).toMatchObject({ statusCode: 405, allow: "GET, HEAD" });
    expect(await call("GET", "/control/rollback")).toMatchObject({
      statusCode: 405,
      allow: "POST",
    });
    await gateway.close();
  });

  it("that are no HTTP, or have too many or too large headers, are answered and closed", async () => {
    const gateway = await startGateway();
    const { port } = gateway;
    const head = "GET /livez HTTP/1.1\r\nhost: localhost\r\n";
    expect(await sendRaw(port, "NONSENSE\r\n\r\n")).toMatch(
      /^HTTP\/1.1 400 .*GATEWAY_BAD_REQUEST/s,
    );
    const large = await sendRaw(port, `${head}x: ${"y".repeat(20_000)}\r\n\r\n`);
    expect(large).toMatch(/^HTTP\/1.1 431 .*GATEWAY_HEADERS_TOO_LARGE/s);
    const many = Array.from({ length: 120 }, (_, index) => `x-${index}: 1\r\n`).join("");
    const answer = await sendRaw(port, `${head}connection: close\r\n${many}\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 431 .*GATEWAY_HEADERS_TOO_LARGE/s);
    await gateway.close();
  });

  it("whose headers never end are closed with a 408", async () => {
    const limits = { headersTimeoutMs: 100 };
    const gateway = await startGateway({ gateway: { limits } });
    const answer = await sendRaw(gateway.port, "GET /livez HTTP/1.1\r\nhost: local");
    expect(answer).toMatch(/^HTTP\/1.1 408 /);
    await gateway.close();
  }, 40_000);
});
