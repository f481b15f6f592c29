import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { parser } from "@prometheus-io/lezer-promql";
import { afterEach, describe, expect, it } from "vitest";
import { prometheusCounts, readyQueries } from "../../../src/app/ready/prometheus-counts.ts";

const nowMs = Date.parse("2026-11-21T12:00:00.000Z");
const queries = readyQueries("image.resize", 14);

type Vector = readonly [metric: Readonly<Record<string, string>>, value: string][];

const sound: Readonly<Record<string, Vector>> = {
  [queries.now]: [[{}, "6"]],
  [queries.earlier]: [[{}, "6"]],
  [queries.calls]: [
    [{ path: "candidate" }, "20000.7"],
    [{ path: "legacy" }, "0.2"],
  ],
  [queries.fallbacks]: [[{}, "0.1"]],
  [queries.compared]: [
    [{ result: "same" }, "4000.9"],
    [{ result: "different" }, "0.3"],
  ],
};

describe("what Prometheus counted for the question whether legacy may go", () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  async function ask(answers: Readonly<Record<string, Vector>>, status = 200, hang = false) {
    server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => {
        body += chunk;
      });
      request.on("end", () => {
        if (hang) return;
        const vector = answers[new URLSearchParams(body).get("query") ?? ""] ?? [];
        const result = vector.map(([metric, value]) => ({ metric, value: [nowMs / 1000, value] }));
        response.writeHead(status);
        response.end(JSON.stringify({ status: "success", data: { resultType: "vector", result } }));
      });
    });
    await new Promise<void>((done) => server?.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const timeoutMs = hang ? 50 : 10_000;
    return prometheusCounts({ url, operation: "image.resize", days: 14, nowMs, timeoutMs });
  }

  it("rounds what speaks for the candidate down, and what speaks against it up", async () => {
    expect(await ask(sound)).toEqual({
      source: "Prometheus",
      sinceMs: nowMs - 14 * 86_400_000,
      candidateCalls: 20_000,
      legacyCalls: 1,
      fallbacks: 1,
      compared: 4001,
      different: 1,
    });
  });

  it("is asked in PromQL", () => {
    for (const query of [...Object.values(queries), ...Object.values(readyQueries("a.b", 0.01))]) {
      const wrong: string[] = [];
      parser.parse(query).iterate({
        enter: ({ type, from, to }) => {
          if (type.isError) wrong.push(query.slice(from, to));
        },
      });
      expect([query, wrong]).toEqual([query, []]);
    }
  });

  it.each<[string, Readonly<Record<string, Vector>>, RegExp]>([
    ["nothing now", { ...sound, [queries.now]: [] }, /no calls of image\.resize now/],
    ["nothing earlier", { ...sound, [queries.earlier]: [] }, /nothing from 14 days ago/],
    ["no fallback series", { ...sound, [queries.fallbacks]: [] }, /no numbers/],
    ["what is no number", { ...sound, [queries.fallbacks]: [[{}, "NaN"]] }, /no numbers/],
  ])("cannot tell from %s", async (_what, answers, why) => {
    expect(await ask(answers)).toMatch(why);
  });

  it("cannot tell when it is refused or not answered", async () => {
    expect(await ask(sound, 500)).toMatch(/no answer that can be used \(TypeError\)/);
    server?.close();
    expect(await ask(sound, 200, true)).toMatch(/no answer that can be used \(TimeoutError\)/);
  });
});
