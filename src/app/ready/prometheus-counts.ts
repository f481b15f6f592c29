import * as v from "valibot";
import type { ReadyCounts } from "./ready-check.ts";

/** What is asked of Prometheus. */
export interface PrometheusCountsOptions {
  /** Its address, as in `http://127.0.0.1:9090`. */
  readonly url: string;
  readonly operation: string;
  /** Days that are counted. */
  readonly days: number;
  readonly nowMs: number;
  /** Milliseconds for one answer; default 10,000: long spans take their time. */
  readonly timeoutMs?: number;
}

const answerSchema = v.object({
  status: v.literal("success"),
  data: v.object({
    resultType: v.literal("vector"),
    result: v.array(
      v.object({
        metric: v.record(v.string(), v.string()),
        value: v.tuple([v.number(), v.string()]),
      }),
    ),
  }),
});

type Sample = v.InferOutput<typeof answerSchema>["data"]["result"][number];

const answerBytesMax = 1024 * 1024;
const hourSeconds = 3600;

/** The queries, as they are sent. `now` and `earlier` ask whether there was anything to count, at both ends. */
export function readyQueries(
  operation: string,
  days: number,
): Readonly<Record<"now" | "earlier" | "calls" | "fallbacks" | "compared", string>> {
  const seconds = Math.round(days * 86_400);
  const of = `operation=${JSON.stringify(operation)}`;
  const span = `[${seconds}s]`;
  const began = Math.max(1, seconds - hourSeconds);
  return {
    now: `count(changeover_calls_total{${of}})`,
    // Within the first hour of the span.
    earlier: `count(last_over_time(changeover_calls_total{${of}}[${hourSeconds}s] offset ${began}s))`,
    calls: `sum by (path) (increase(changeover_calls_total{${of},source="served"}${span}))`,
    fallbacks: `sum(increase(changeover_fallbacks_total{${of},result!="denied"}${span}))`,
    compared: `sum by (result) (increase(changeover_shadow_runs_total{${of},result=~"same|different"}${span}))`,
  };
}

/**
 * What all instances counted in so many days, over their restarts; or in words why that cannot be told.
 * A time in the middle in which nothing was scraped is not noticed. Never rejects.
 */
export async function prometheusCounts(
  options: PrometheusCountsOptions,
): Promise<ReadyCounts | string> {
  const { operation, days, nowMs } = options;
  const queries = readyQueries(operation, days);
  try {
    const [now, earlier, calls, fallbacks, compared] = await Promise.all([
      ask(options, queries.now),
      ask(options, queries.earlier),
      ask(options, queries.calls),
      ask(options, queries.fallbacks),
      ask(options, queries.compared),
    ]);
    if (now.length === 0) return `Prometheus knows no calls of ${operation} now.`;
    if (earlier.length === 0) return `Prometheus has nothing from ${days} days ago.`;
    const all = [...calls, ...fallbacks, ...compared];
    if (calls.length === 0 || fallbacks.length === 0 || all.some((each) => !isCount(each))) {
      return "Prometheus gave no numbers.";
    }
    const of = (label: string, value: string, from: readonly Sample[]): number =>
      sum(from.filter(({ metric }) => metric[label] === value));
    // `increase` estimates: what speaks for the candidate is rounded down, and what speaks against it up.
    const different = Math.ceil(of("result", "different", compared));
    return {
      source: "Prometheus",
      sinceMs: nowMs - days * 86_400_000,
      candidateCalls: Math.floor(of("path", "candidate", calls)),
      legacyCalls: Math.ceil(of("path", "legacy", calls)),
      fallbacks: Math.ceil(sum(fallbacks)),
      compared: Math.floor(of("result", "same", compared)) + different,
      different,
    };
  } catch (error) {
    const why = error instanceof Error ? error.name : "unknown error";
    return `Prometheus gave no answer that can be used (${why}).`;
  }
}

async function ask(
  { url, timeoutMs = 10_000 }: PrometheusCountsOptions,
  query: string,
): Promise<readonly Sample[]> {
  const answer = await fetch(`${url.replace(/\/+$/, "")}/api/v1/query`, {
    method: "POST",
    body: new URLSearchParams({ query }),
    signal: AbortSignal.timeout(timeoutMs),
    redirect: "error",
  });
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of answer.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > answerBytesMax) throw new RangeError("The answer is too long");
  }
  if (!answer.ok) throw new TypeError(`Prometheus answered ${answer.status}`);
  return v.parse(answerSchema, JSON.parse(text)).data.result;
}

const isCount = ({ value }: Sample): boolean =>
  value[1] !== "" && Number.isFinite(Number(value[1]));
const sum = (samples: readonly Sample[]): number =>
  samples.reduce((total, { value }) => total + Number(value[1]), 0);
