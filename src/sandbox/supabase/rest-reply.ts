/** An HTTP status and a JSON body. */
export interface RestReply {
  readonly status: number;
  readonly body: unknown;
}

/** What a correction must know about the request. */
export interface RestRequestFacts {
  /** Does the client ask for one object instead of a list (`.single()`)? */
  readonly wantsObject: boolean;
  /** Is it without the secret key? */
  readonly isAnonymous: boolean;
}

/**
 * PostgREST's reply where the embedded service's differs; undefined: nothing to correct. Differences:
 * broken checks and row-level security are 500 with its own code `SUP` (PostgREST: 400 with 23514, 401
 * or 403 with 42501), and a write that returns a row with embedded ones is a list, also for `.single()`.
 */
export function correctRestReply(
  status: number,
  text: string,
  request: RestRequestFacts,
): RestReply | undefined {
  if (status === 500) return correctError(parse(text), request.isAnonymous);
  if (status >= 300 || !request.wantsObject || !text.startsWith("[")) return undefined;
  const rows = parse(text);
  return Array.isArray(rows) && rows.length === 1 ? { status, body: rows[0] } : undefined;
}

function correctError(body: unknown, isAnonymous: boolean): RestReply | undefined {
  const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown };
  if (code !== "SUP") return undefined;
  const cause = String(message).replace(/^Error: /, "");
  const reply = (status: number, newCode: string): RestReply => ({
    status,
    body: { code: newCode, details: null, hint: null, message: cause },
  });
  if (cause.startsWith("CHECK constraint failed")) return reply(400, "23514");
  if (cause.startsWith("RLS policy violation")) return reply(isAnonymous ? 401 : 403, "42501");
  return undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
