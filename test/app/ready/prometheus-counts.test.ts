import { parser } from "@prometheus-io/lezer-promql";
import { describe, expect, it } from "vitest";
import { prometheusCounts, readyQueries } from "../../../src/app/ready/prometheus-counts.ts";
import {
  prometheusStandIn,
  type StandInAnswer,
  type Vector,
} from "../../support/prometheus-stand-in.ts";

const nowMs = Date.parse("2026-11-21T12:00:00.000Z");
const queries = readyQueries("image.resize", 14);

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
  async function ask(answers: Readonly<Record<string, StandInAnswer>>, timeoutMs = 10_000) {
    const url = await prometheusStandIn((query) => answers[query]);
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
    expect(await ask({ ...sound, [queries.calls]: 500 })).toMatch(/can be used \(TypeError\)/);
    const late = { ...sound, [queries.calls]: "hang" };
    expect(await ask(late, 50)).toMatch(/can be used \(TimeoutError\)/);
  });
});
