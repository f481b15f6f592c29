import type { Dispatcher } from "undici";
import { answerFailure, type BackendAnswer } from "./backend-failure.ts";

/** How much of an answer that is not an object is read: errors and facts are far smaller. */
const ANSWER_MAX_BYTES = 64 * 1024;

/** Throws the answer's own failure unless it is a success, whose body is read away. */
export async function expectSuccess(
  during: string,
  response: Dispatcher.ResponseData,
): Promise<void> {
  if (response.statusCode < 200 || response.statusCode >= 300) {
    throw answerFailure(during, await answerOf(response));
  }
  await response.body.dump();
}

/** What an answer that is not a success says, in its JSON body where it has one. */
export async function answerOf(response: Dispatcher.ResponseData): Promise<BackendAnswer> {
  const retryAfter = response.headers["retry-after"];
  const answer = { status: response.statusCode, retryAfter: String(retryAfter ?? "") };
  try {
    const { statusCode, code, error } = JSON.parse(await readText(response.body)) as {
      readonly statusCode?: string;
      readonly code?: string;
      readonly error?: string;
    };
    return { ...answer, statusCode, code: code ?? error };
  } catch {
    // A proxy's page: its status says all there is to know.
    return answer;
  }
}

/** A short body as text. Throws when it is longer than `maxBytes`; default 64 KiB. */
export async function readText(
  body: Dispatcher.ResponseData["body"],
  maxBytes: number = ANSWER_MAX_BYTES,
): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > maxBytes) throw new RangeError("The answer is too long.");
  }
  return Buffer.concat(chunks).toString("utf8");
}
