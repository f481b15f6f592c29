import { CodedError } from "../base/errors.ts";

/** No bearer key, or one that nobody has. */
export function unauthorised(): CodedError {
  return new CodedError(
    "GATEWAY_UNAUTHORISED",
    "The bearer key is missing or unknown. Send `Authorization: Bearer <key>` with a key of CHANGEOVER_KEYS_FILE.",
    { status: 401 },
  );
}

/** `what` names the thing that is only for operators; `where` says in which header the token goes. */
export function operatorTokenRequired(what: string, where: string, status: 401 | 403): CodedError {
  return new CodedError(
    "GATEWAY_OPERATOR_TOKEN_REQUIRED",
    `${what} is for operators only. Send the operator token in ${where}.`,
    { status },
  );
}

/** A header of ours with a value that cannot be used. */
export function invalidHeader(header: string, accepted: string): CodedError {
  return new CodedError("GATEWAY_INVALID_HEADER", `The header ${header} must be ${accepted}.`, {
    status: 400,
    details: { param: header },
  });
}

/** A part of the request that does not fit; `message` names the value and what fits. */
export function invalidRequest(param: string, message: string): CodedError {
  return new CodedError("GATEWAY_INVALID_REQUEST", message, { status: 400, details: { param } });
}

/** Parts of a form that must be there and are not. */
export function missingFields(missing: readonly string[]): CodedError {
  const names = missing.map((name) => `\`${name}\``).join(" and ");
  return new CodedError(
    "GATEWAY_MISSING_FIELD",
    `The form lacks ${names}. Send multipart/form-data with a \`file\` part and a \`purpose\` field.`,
    { status: 400, details: { param: missing[0] } },
  );
}

/** A body that is no form, or a form that is broken. */
export function invalidMultipart(why: string, cause?: unknown): CodedError {
  return new CodedError(
    "GATEWAY_INVALID_MULTIPART",
    `The multipart body cannot be read: ${why}. Nothing was stored.`,
    { status: 400, cause },
  );
}

/** A body of a kind that this route does not take. */
export function unsupportedBody(what: string, accepted: string): CodedError {
  return new CodedError("GATEWAY_UNSUPPORTED_BODY", `${what} Send ${accepted}.`, { status: 415 });
}

/** A body beyond a limit of the gateway's own. */
export function bodyTooLarge(what: string, limitBytes: number): CodedError {
  return new CodedError(
    "GATEWAY_BODY_TOO_LARGE",
    `${what} is larger than ${limitBytes} bytes. Send less.`,
    { status: 413, details: { limitBytes } },
  );
}

/** A body that stopped coming. */
export function bodyIdle(idleMs: number): CodedError {
  return new CodedError(
    "GATEWAY_BODY_IDLE",
    `The body did not arrive within its limit of ${idleMs} ms. Nothing was stored; send all of it again.`,
    { status: 408, retryable: true, details: { idleMs } },
  );
}

/** The client closed its connection before it had its answer; it will never read this. */
export function clientGone(): CodedError {
  return new CodedError("GATEWAY_CLIENT_GONE", "The client closed its connection.", {
    status: 499,
  });
}

/** A call that came, or was still running, when the gateway was told to stop. */
export function shuttingDown(): CodedError {
  return new CodedError(
    "GATEWAY_SHUTTING_DOWN",
    "This process is shutting down. Send the call again in 1 s; another process may answer it.",
    { status: 503, retryable: true, retryAfterSeconds: 1 },
  );
}

/** The `Host` of the request is not ours. */
export function hostRefused(host: string | undefined): CodedError {
  return new CodedError(
    "GATEWAY_HOST_REFUSED",
    `The host ${JSON.stringify((host ?? "").slice(0, 100))} is not served here. Call this machine by 127.0.0.1, localhost or [::1].`,
    { status: 403 },
  );
}

/** A page of another site tries to change something here. */
export function crossSite(): CodedError {
  return new CodedError(
    "GATEWAY_CROSS_SITE",
    "A web page of another site may not change anything here. Call from a program, or from the gateway's own pages.",
    { status: 403 },
  );
}

/** As many console pages are open as may be. */
export function consoleFull(limit: number): CodedError {
  return new CodedError(
    "GATEWAY_CONSOLE_FULL",
    `The console is open in as many places as this process serves (${limit}). Close one of them, or use \`changeover status --watch\`.`,
    { status: 503, retryable: true, retryAfterSeconds: 5 },
  );
}

/** No such route. */
export function noRoute(method: string, path: string): CodedError {
  return new CodedError(
    "GATEWAY_NO_ROUTE",
    `There is no route ${method} ${JSON.stringify(path.slice(0, 200))}. Files are under /v1/files, commands under /control.`,
    { status: 404 },
  );
}

/** A known path that does not know this method. */
export function methodNotAllowed(method: string, allowed: readonly string[]): CodedError {
  return new CodedError(
    "GATEWAY_METHOD_NOT_ALLOWED",
    `${method} is not possible here. Use ${allowed.join(" or ")}.`,
    { status: 405, details: { allowed } },
  );
}

/** A request that is no proper HTTP, JSON or URL. */
export function badRequest(message: string, status = 400): CodedError {
  return new CodedError("GATEWAY_BAD_REQUEST", message, { status });
}

/** More, or larger, headers than the limit. */
export function headersTooLarge(limit: string): CodedError {
  return new CodedError(
    "GATEWAY_HEADERS_TOO_LARGE",
    `The request's headers are more than ${limit}. Send fewer or shorter ones.`,
    { status: 431 },
  );
}

/** What any error becomes that is not ours: the details are in the log under the request id. */
export function internal(requestId: string): CodedError {
  return new CodedError(
    "GATEWAY_INTERNAL",
    `The gateway failed. The log has the details under request id ${requestId}.`,
    { status: 500 },
  );
}

/** A listening address that would let strangers in. */
export function offLoopback(host: string): CodedError {
  return new CodedError(
    "GATEWAY_OFF_LOOPBACK",
    `Without keys everybody is the same owner, so the gateway does not listen on ${JSON.stringify(host)}. Set CHANGEOVER_KEYS_FILE, or listen on 127.0.0.1.`,
    { status: 400, details: { host } },
  );
}

/** The port is taken. */
export function portBusy(host: string, port: number, cause: unknown): CodedError {
  return new CodedError(
    "GATEWAY_PORT_BUSY",
    `Port ${port} of ${host} is in use by another program. Stop it, or set CHANGEOVER_PORT to another port (0 takes any free one).`,
    { status: 503, cause, details: { host, port } },
  );
}

/** Listening failed for another reason; `cause` has the system's own error. */
export function listenFailed(host: string, port: number, cause: unknown): CodedError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CodedError(
    "GATEWAY_LISTEN_FAILED",
    `The gateway cannot listen on ${host} port ${port}: ${reason}. Check CHANGEOVER_HOST and CHANGEOVER_PORT.`,
    { status: 503, cause, details: { host, port } },
  );
}
