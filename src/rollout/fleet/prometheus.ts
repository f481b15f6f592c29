import * as v from "valibot";

/** Where Prometheus is, and what one answer may take. */
export interface PrometheusDoor {
  /** Its address, as in `http://127.0.0.1:9090`. */
  readonly url: string;
  /** Milliseconds for one answer. */
  readonly timeoutMs: number;
  /** Bytes of one answer at most. */
  readonly bytesMax: number;
}

/** The format of `/api/v1/query`: https://prometheus.io/docs/prometheus/latest/querying/api/ */
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

/** One series of an answer. */
export interface PrometheusSample {
  /** Its labels. */
  readonly metric: Readonly<Record<string, string>>;
  /** When, in seconds, it had which value: a number as text. */
  readonly value: readonly [seconds: number, text: string];
}

/**
 * Asks Prometheus one instant query. Rejects with whatever was wrong: `TimeoutError`, `TypeError` (nobody
 * there, or a status that is not 2xx), `RangeError` (an answer over the limit), `SyntaxError` or `ValiError`
 * (not the answer of a vector query). The error's name is safe to show.
 */
export async function askPrometheus(
  { url, timeoutMs, bytesMax }: PrometheusDoor,
  query: string,
): Promise<readonly PrometheusSample[]> {
  const answer = await fetch(`${url.replace(/\/+$/, "")}/api/v1/query`, {
    method: "POST",
    body: new URLSearchParams({ query }),
    signal: AbortSignal.timeout(timeoutMs),
    redirect: "error",
  });
  const text = await boundedText(answer, bytesMax);
  if (!answer.ok) throw new TypeError(`Prometheus answered ${answer.status}`);
  return v.parse(answerSchema, JSON.parse(text)).data.result;
}

/** Is its value a number? Prometheus also says `NaN` and `+Inf`. */
export const isCount = ({ value: [, text] }: PrometheusSample): boolean =>
  text !== "" && Number.isFinite(Number(text));

/** The sum of their values, each of which is a count. */
export const sumOf = (samples: readonly PrometheusSample[]): number =>
  samples.reduce((total, { value }) => total + Number(value[1]), 0);

/** What to say of a query that failed; never with an address. */
export function unusableAnswer(error: unknown): string {
  const why = error instanceof Error ? error.name : "unknown error";
  return `Prometheus gave no answer that can be used (${why}).`;
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
