import type { FeedMessage } from "../../../server/console/feed-state.ts";
import type { ConsoleView } from "./console-picture.ts";

/** What the console was told at one moment, and what of it a picture shows: enough to draw it again. */
export interface ConsoleState {
  /** The operation that is chosen on the page; the only one whose history is kept. */
  readonly operation: string;
  readonly view: ConsoleView;
  /** The first message of a feed, which has everything, without the values of mismatches. */
  readonly message: FeedMessage;
}

/** Characters of that message at most. */
const messageMax = 4 * 2 ** 20;
/** Milliseconds until it must have come. */
const messageLimitMs = 10_000;

/**
 * Asks a gateway on loopback, without a token, what its console shows now. Rejects when it does not tell
 * within 10 s.
 * @param origin scheme, host and port
 */
export async function recordState(
  origin: string,
  { operation, view }: Pick<ConsoleState, "operation" | "view">,
): Promise<ConsoleState> {
  const message = await firstMessage(`${origin}/console/events`);
  const rows = message.history[operation];
  const history = rows === undefined ? {} : { [operation]: rows };
  return { operation, view, message: { ...message, history } };
}

/** The same as JSON that a person can compare: a line for each value, and for each point in time. */
export function stateText({ message, ...rest }: ConsoleState): string {
  const { history, ...sections } = message;
  const pretty = (value: unknown): string => JSON.stringify(value, null, 2).slice(0, -2);
  const inner = pretty(sections).replaceAll("\n", "\n  ");
  const points = Object.entries(history).map(([name, rows]) => {
    const lines = rows.map((row) => `        ${JSON.stringify(row)}`);
    return `      ${JSON.stringify(name)}: [\n${lines.join(",\n")}\n      ]`;
  });
  const all = points.length === 0 ? "{}" : `{\n${points.join(",\n")}\n    }`;
  return `${pretty(rest)},\n  "message": ${inner},\n    "history": ${all}\n  }\n}\n`;
}

async function firstMessage(address: string): Promise<FeedMessage> {
  const signal = AbortSignal.timeout(messageLimitMs);
  const { body, status } = await fetch(address, { signal });
  if (status !== 200 || body === null) throw new RangeError(`The console's feed said ${status}.`);
  let text = "";
  for await (const part of body.pipeThrough(new TextDecoderStream())) {
    text += part;
    const end = text.indexOf("\n\n");
    if (end >= 0) return JSON.parse(text.slice("data: ".length, end)) as FeedMessage;
    if (text.length > messageMax) break;
  }
  throw new RangeError(`The console's feed told nothing in ${text.length} characters.`);
}
