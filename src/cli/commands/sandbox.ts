import { CodedError } from "../../base/errors.ts";
import { describeFault } from "../../rehearsal/faults.ts";
import { type Command, usage } from "../context.ts";
import { withOperator } from "../session.ts";
import { styled } from "../terminal/text.ts";
import { userName } from "./flags.ts";

interface FaultOptions {
  readonly errorRate?: number;
  readonly latency?: number;
  readonly unknownErrorRate?: number;
  readonly mismatchRate?: number;
  readonly leak?: number;
  readonly off?: boolean;
}

/** `changeover sandbox fault`: only the running product can be made to fail. */
export const setFault: Command<FaultOptions> = (context, { words, options }) => {
  const [path] = words;
  const { off = false } = options;
  const fault = {
    errorRate: options.errorRate ?? 0,
    latencyMs: options.latency ?? 0,
    unknownErrorRate: options.unknownErrorRate ?? 0,
    mismatchRate: options.mismatchRate ?? 0,
    leakBytes: options.leak ?? 0,
  };
  if (path !== "legacy" && path !== "candidate") {
    throw usage(`${JSON.stringify(path)} is not a path. Use legacy or candidate.`);
  }
  const given = Object.keys(options).some((name) => name !== "off");
  if (given === off)
    throw usage("Say what is to go wrong, such as --error-rate 0.5; or --off alone.");
  return withOperator(context, async (operator) => {
    if (!operator.live) throw nothingRuns();
    const set = await operator.setFault(path, fault, {
      by: userName(),
      reason: "changeover sandbox fault",
    });
    const words = describeFault(set);
    const what =
      words === null
        ? `No fault is injected into ${path} any more.`
        : `In ${path} now: ${words}. End it: changeover sandbox fault ${path} --off`;
    const lines = [what, styled("faint", `Set ${operator.way}.`)];
    return { answer: { value: { path, fault: set }, lines } };
  });
};

function nothingRuns(): CodedError {
  return new CodedError(
    "CLI_NOT_RUNNING",
    "Nothing is running that could fail. Start it first (changeover start), or name a gateway with --gateway.",
    { status: 404 },
  );
}
