import { CodedError } from "../../base/errors.ts";
import { type Command, usage } from "../context.ts";
import { withOperator } from "../session.ts";
import { styled } from "../terminal/text.ts";

interface FaultOptions {
  readonly errorRate?: number;
  readonly latency?: number;
  readonly off?: boolean;
}

/** `changeover sandbox fault`: only the running product can be made to fail. */
export const setFault: Command<FaultOptions> = (context, { words, options }) => {
  const [path] = words;
  const { errorRate, latency, off = false } = options;
  if (path !== "legacy" && path !== "candidate") {
    throw usage(`${JSON.stringify(path)} is not a path. Use legacy or candidate.`);
  }
  const given = errorRate !== undefined || latency !== undefined;
  if (given === off) throw usage("Give --error-rate, --latency or both; or --off alone.");
  return withOperator(context, async (operator) => {
    if (!operator.live) throw nothingRuns();
    const fault = await operator.setFault(path, {
      errorRate: errorRate ?? 0,
      latencyMs: latency ?? 0,
    });
    const what = off
      ? `No fault is injected into ${path} any more.`
      : `${path} now fails ${fault.errorRate * 100} % of its calls and holds each back for ${fault.latencyMs} ms. End it: changeover sandbox fault ${path} --off`;
    const lines = [what, styled("faint", `Set ${operator.way}.`)];
    return { answer: { value: { path, fault }, lines } };
  });
};

function nothingRuns(): CodedError {
  return new CodedError(
    "CLI_NOT_RUNNING",
    "Nothing is running that could fail. Start it first (changeover start), or name a gateway with --gateway.",
    { status: 404 },
  );
}
