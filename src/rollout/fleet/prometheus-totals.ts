import * as v from "valibot";
import type { PathTotals } from "../evidence.ts";
import type { InstanceTotals, TotalsReading, TotalsSource } from "../ports.ts";

/** How Prometheus is asked. */
export interface PrometheusTotalsOptions {
  /** Its address, as in `http://127.0.0.1:9090`. */
  readonly url: string;
  /** Milliseconds for one answer; default 2,000. */
  readonly timeoutMs?: number;
  /** Bytes of one answer at most; default 4 MiB. */
  readonly bytesMax?: number;
  /** The scrape job whose `up` is read; default: the instances that have `changeover_build_info`. */
  readonly job?: string;
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

const runs = "changeover_calls_total";
const served = 'source="served"';

/** The queries, as they are sent; `up` stands next to the counts, since a target that is down keeps its last ones. */
export function queriesOf(
  job: string | undefined,
): Readonly<Record<"up" | "calls" | "durations" | "compared", string>> {
  const target = job === undefined ? "" : `job=${JSON.stringify(job)}`;
  const and = target === "" ? "" : `,${target}`;
  return {
    up:
      target === ""
        ? "up * on(instance) group_left() (changeover_build_info * 0 + 1)"
        : `up{${target}}`,
    calls: `sum by (instance, operation, path, outcome) (${runs}{${served}${and}})`,
    durations: `sum by (instance, operation, path) (changeover_call_duration_seconds_sum{${served}${and}})`,
    compared: `sum by (instance, operation) (changeover_shadow_runs_total{result=~"same|different"${and}})`,
  };
}

/**
 * The fleet's counts from Prometheus. An answer that is late, empty, not a number or not understood is
 * `blind`, never 0; so is a fleet of which no target is up. Counts are as old as the last scrape.
 */
export class PrometheusTotals implements TotalsSource {
  readonly #options: Required<Omit<PrometheusTotalsOptions, "job">>;
  readonly #queries: ReturnType<typeof queriesOf>;

  constructor(options: PrometheusTotalsOptions) {
    const { url, timeoutMs = 2000, bytesMax = 4 * 1024 * 1024, job } = options;
    this.#options = { url: url.replace(/\/+$/, ""), timeoutMs, bytesMax };
    this.#queries = queriesOf(job);
  }

  async read(operations: readonly string[]): Promise<TotalsReading> {
    try {
      const { up, calls, durations, compared } = this.#queries;
      const [ups, ofCalls, ofDurations, ofCompared] = await Promise.all(
        [up, calls, durations, compared].map((query) => this.#ask(query)),
      );
      return readingOf({ ups, ofCalls, ofDurations, ofCompared }, operations);
    } catch (error) {
      const why = error instanceof Error ? error.name : "unknown error";
      return { blind: `Prometheus gave no answer that can be used (${why}).` };
    }
  }

  async #ask(query: string): Promise<readonly Sample[]> {
    const { url, timeoutMs, bytesMax } = this.#options;
    const answer = await fetch(`${url}/api/v1/query`, {
      method: "POST",
      body: new URLSearchParams({ query }),
      signal: AbortSignal.timeout(timeoutMs),
      redirect: "error",
    });
    const text = await boundedText(answer, bytesMax);
    if (!answer.ok) throw new TypeError(`Prometheus answered ${answer.status}`);
    return v.parse(answerSchema, JSON.parse(text)).data.result;
  }
}

async function boundedText(answer: Response, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw new RangeError("The answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

interface Samples {
  readonly ups: readonly Sample[] | undefined;
  readonly ofCalls: readonly Sample[] | undefined;
  readonly ofDurations: readonly Sample[] | undefined;
  readonly ofCompared: readonly Sample[] | undefined;
}

function readingOf(samples: Samples, operations: readonly string[]): TotalsReading {
  const { ups = [], ofCalls = [], ofDurations = [], ofCompared = [] } = samples;
  const up = ups.filter((each) => Number(each.value[1]) === 1).map(instanceOf);
  if (up.length === 0) return { blind: "Prometheus reaches no instance: none of them is up." };
  if (ofCalls.length === 0) return { blind: "Prometheus knows no calls." };
  if ([...ofCalls, ...ofDurations, ...ofCompared].some(({ value }) => !isCount(value[1]))) {
    return { blind: "Prometheus answered with something that is not a number." };
  }
  const totals = up.flatMap((instance) =>
    operations.flatMap((operation): InstanceTotals[] => {
      const mine = (each: Sample): boolean =>
        instanceOf(each) === instance && each.metric["operation"] === operation;
      const calls = ofCalls.filter(mine);
      if (calls.length === 0) return [];
      const durations = ofDurations.filter(mine);
      const path = (name: string): PathTotals => ({
        calls: sum(calls, name) - sum(calls, name, "aborted"),
        failed: sum(calls, name, "failed"),
        timedOut: sum(calls, name, "timed-out"),
        durationMs: durations.length === 0 ? null : sum(durations, name) * 1000,
      });
      return [
        {
          instance,
          operation,
          legacy: path("legacy"),
          candidate: path("candidate"),
          compared: sum(ofCompared.filter(mine)),
        },
      ];
    }),
  );
  return totals.length === 0
    ? { blind: "Prometheus knows no calls of a live instance." }
    : { totals };
}

const instanceOf = ({ metric }: Sample): string => metric["instance"] ?? "";
const isCount = (text: string): boolean => text !== "" && Number.isFinite(Number(text));

function sum(samples: readonly Sample[], path?: string, outcome?: string): number {
  return samples
    .filter(({ metric }) => path === undefined || metric["path"] === path)
    .filter(({ metric }) => outcome === undefined || metric["outcome"] === outcome)
    .reduce((total, { value }) => total + Number(value[1]), 0);
}
