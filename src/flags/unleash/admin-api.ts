import { type Clock, sleep } from "../../base/clock.ts";
import { CodedError, codeOf, isCodedError, toError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";

/** Access to the Admin API of one project and environment. */
export interface AdminAccess {
  /** Ends in `/api/admin`. */
  readonly adminUrl: string;
  readonly token: string;
  readonly project: string;
  readonly environment: string;
  /** Longest that one request may take, in milliseconds. */
  readonly tryMs: number;
  /** Longest that a request may take with all its tries, in milliseconds. */
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** One request of the Admin API, as data. */
export interface AdminCall {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Behind `/api/admin`, with a leading slash. */
  readonly path: string;
  readonly body?: unknown;
}

/** Where flags are. */
export type AdminPlace = Pick<AdminAccess, "project" | "environment">;

/** The path of a project. */
export const projectPath = ({ project }: AdminPlace): string =>
  `/projects/${encodeURIComponent(project)}`;

/** The path of a flag in its project. */
export const featurePath = (place: AdminPlace, name: string): string =>
  `${projectPath(place)}/features/${encodeURIComponent(name)}`;

/** The path of a flag in one environment. */
export const environmentPath = (place: AdminPlace, name: string): string =>
  `${featurePath(place, name)}/environments/${encodeURIComponent(place.environment)}`;

/** The pause before the second try at most, and the longest one, in milliseconds. */
const firstPauseMs = 100;
const longestPauseMs = 1000;
/** A project's features take well below a kilobyte each in what is read here. */
const replyBytesMax = 16 * 1024 * 1024;

/**
 * Speaks the Admin API of Unleash: its own time limit for each try (a server without its database hangs
 * for a minute), tries again with jitter until a deadline, and errors by code.
 */
export class AdminApi {
  readonly access: AdminAccess;

  constructor(access: AdminAccess) {
    this.access = access;
  }

  /** When something that begins now must have ended, on the monotonic clock. */
  deadline(): number {
    return this.access.clock.monotonicMs() + this.access.deadlineMs;
  }

  /** Does `work`, which may safely be done twice, until it succeeds, fails for good, or `endMs` has passed. */
  async retry<T>(work: () => Promise<T>, endMs: number = this.deadline()): Promise<T> {
    const { clock, random } = this.access;
    for (let tries = 1; ; tries += 1) {
      try {
        return await work();
      } catch (error) {
        const longest = Math.min(firstPauseMs * 2 ** (tries - 1), longestPauseMs);
        const pauseMs = longest * (0.5 + random.next() / 2);
        const over = clock.monotonicMs() + pauseMs >= endMs;
        if (over || !isCodedError(error) || !error.retryable) throw error;
        await sleep(clock, pauseMs, undefined, true);
      }
    }
  }

  /** One request, once. Throws `FLAGS_UNLEASH_*`, `FLAGS_UNKNOWN` or `FLAGS_DRIFT`. */
  async sendOnce(call: AdminCall): Promise<unknown> {
    const { adminUrl, token, tryMs, clock } = this.access;
    const stop = new AbortController();
    const timer = clock.after(tryMs, () => stop.abort(), true);
    try {
      const response = await fetch(`${adminUrl}${call.path}`, {
        method: call.method,
        headers: { authorization: token, "content-type": "application/json" },
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
        signal: stop.signal,
        // A redirect would carry the token elsewhere.
        redirect: "error",
      });
      const text = await readText(response);
      if (!response.ok) throw refusal(response.status, text, call, this.access);
      return parseReply(text);
    } catch (error) {
      if (isCodedError(error)) throw error;
      throw unavailable(
        stop.signal.aborted ? `no answer within ${tryMs} ms` : reasonOf(error),
        call,
      );
    } finally {
      timer.cancel();
    }
  }
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let bytes = 0;
  let text = "";
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > replyBytesMax) throw new Error(`the reply has more than ${replyBytesMax} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parseReply(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    // A write answers with words where it has nothing to tell.
    return null;
  }
}

/** What an unsuccessful reply means. Pure. */
export function refusal(
  status: number,
  text: string,
  call: AdminCall,
  access: AdminPlace,
): CodedError {
  const reply = (parseReply(text) ?? {}) as { message?: unknown; permissions?: unknown };
  const said = typeof reply.message === "string" ? reply.message : "";
  const at = `${call.method} ${call.path}`;
  const details = { status, call: at };
  if (status === 401) {
    return new CodedError(
      "FLAGS_UNLEASH_UNAUTHORISED",
      `Unleash does not know the admin token (401 for ${at}). Set CHANGEOVER_UNLEASH_ADMIN_TOKEN to a personal access token.`,
      { status: 502, details },
    );
  }
  if (status === 403) return forbidden(said, reply.permissions, at, access);
  if (status === 404) {
    return new CodedError(
      "FLAGS_UNKNOWN",
      `Unleash has nothing at ${at} (project "${access.project}", environment "${access.environment}"). Create the flag with changeover flags push.`,
      { status: 404, details },
    );
  }
  if (status === 409 || (status === 500 && said.startsWith("Test operation failed"))) {
    return drift(`Unleash refuses ${at} (${status}): the flag was changed meanwhile.`);
  }
  if (status >= 500 || status === 408 || status === 429) {
    return unavailable(`it answered ${status}`, call);
  }
  return new CodedError(
    "FLAGS_UNLEASH_REJECTED",
    `Unleash rejects ${at} (${status}): ${said.slice(0, 200)}`,
    { status: 502, details },
  );
}

function forbidden(
  said: string,
  permissions: unknown,
  at: string,
  { environment, project }: AdminPlace,
): CodedError {
  const needed = Array.isArray(permissions) ? permissions.map(String).join(", ") : "";
  if (/change.?request/i.test(`${said} ${needed}`)) {
    return new CodedError(
      "FLAGS_UNLEASH_CHANGE_REQUEST",
      `Environment "${environment}" takes changes by change request only (403 for ${at}). Give the token's user the permission to skip change requests.`,
      { status: 502, details: { call: at } },
    );
  }
  const what = needed === "" ? said.slice(0, 200) : `it needs ${needed.slice(0, 200)}`;
  return new CodedError(
    "FLAGS_UNLEASH_FORBIDDEN",
    `The admin token may not do ${at} (403): ${what}. Use a token of an Editor of project "${project}".`,
    { status: 502, details: { call: at } },
  );
}

/** `FLAGS_DRIFT`: somebody else changed the flag. Read it again before trying again. */
export function drift(what: string): CodedError {
  return new CodedError("FLAGS_DRIFT", `${what} Look at it, and decide again.`, { status: 409 });
}

function unavailable(why: string, call: AdminCall): CodedError {
  return new CodedError(
    "FLAGS_UNLEASH_UNAVAILABLE",
    `Unleash cannot be reached for ${call.method} ${call.path}: ${why}.`,
    { status: 503, retryable: true, details: { call: `${call.method} ${call.path}` } },
  );
}

/** A code such as ECONNREFUSED where there is one; a message may quote the request, token and all. */
function reasonOf(error: unknown): string {
  const cause = toError(error).cause;
  return codeOf(cause) ?? codeOf(error) ?? toError(error).name;
}
