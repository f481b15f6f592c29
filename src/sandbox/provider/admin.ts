import type { IncomingMessage, ServerResponse } from "node:http";
import { readSmallBody, sendJson } from "../loopback-server.ts";
import { type FaultBook, type FaultPlan, parseFaultPlans } from "./faults.ts";
import type { ProviderFile } from "./provider-files.ts";
import { type AccountLimits, parseAccountLimits, type RequestLimits } from "./request-limits.ts";

/** The only place where a stand-in is not like its provider. */
export const ADMIN_PREFIX = "/__stand-in";

/** What a stand-in tells about itself, for tests. */
export interface StandInReport {
  readonly standIn: true;
  readonly provider: string;
  /** Every file that was accepted and not deleted, the oldest first. */
  readonly files: readonly ProviderFile[];
  /** Requests to the file API by operation (`upload`, `list`, …), and `refused` by reason. */
  readonly requests: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  /** Bytes of upload bodies, also of those that were refused or cut. */
  readonly uploadBytes: number;
  readonly openConnections: number;
  /** The plans that are set, or null when none is. */
  readonly faults: readonly FaultPlan[] | null;
  readonly limits: AccountLimits;
}

/** What the admin routes act on. */
export interface AdminTarget {
  report(): StandInReport;
  readonly faults: FaultBook;
  readonly limits: RequestLimits;
  /** Forgets all files and counts. */
  reset(): Promise<void>;
}

const MAX_ADMIN_BYTES = 64 * 1024;

/**
 * `GET /__stand-in/report`, `PUT /__stand-in/faults` (JSON, see `parseFaultPlans`), `PUT
 * /__stand-in/limits` (JSON, see `parseAccountLimits`), `DELETE` of both, and of `/__stand-in/files`.
 * No key is asked for: only this machine gets here, and changes need JSON or a method that no web page
 * can send unasked.
 */
export async function serveAdmin(
  request: IncomingMessage,
  response: ServerResponse,
  target: AdminTarget,
): Promise<void> {
  const path = (request.url ?? "").slice(ADMIN_PREFIX.length).split("?")[0];
  const call = `${request.method} ${path}`;
  const { status, body } = await (ADMIN_CALLS[call] ?? unknownCall)({ request, call, target });
  sendJson(response, status, body);
}

interface AdminCall {
  readonly request: IncomingMessage;
  readonly call: string;
  readonly target: AdminTarget;
}

interface AdminAnswer {
  readonly status: number;
  readonly body: unknown;
}

const ok = (body: unknown): AdminAnswer => ({ status: 200, body });
const refused = (message: string): AdminAnswer => ({ status: 400, body: { message } });
const unknownCall = async ({ call }: AdminCall): Promise<AdminAnswer> => ({
  status: 404,
  body: { message: `There is no ${call}.` },
});

const ADMIN_CALLS: Readonly<Record<string, (call: AdminCall) => Promise<AdminAnswer>>> = {
  "GET /report": async ({ target }) => ok(target.report()),
  "DELETE /files": async ({ target }) => {
    await target.reset();
    return ok(target.report());
  },
  "PUT /faults": async ({ request, target }) => {
    const plans = parseFaultPlans(await readJson(request));
    if (typeof plans === "string") return refused(plans);
    target.faults.set(plans);
    return ok({ faults: plans });
  },
  "DELETE /faults": async ({ target }) => {
    target.faults.clear();
    return ok({ faults: null });
  },
  "PUT /limits": async ({ request, target }) => {
    const limits = parseAccountLimits(await readJson(request));
    if (typeof limits === "string") return refused(limits);
    target.limits.set(limits);
    return ok({ limits });
  },
  "DELETE /limits": async ({ target }) => {
    target.limits.set();
    return ok({ limits: target.limits.limits });
  },
};

async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readSmallBody(request, MAX_ADMIN_BYTES);
  try {
    return JSON.parse(body?.toString("utf8") ?? "");
  } catch {
    return undefined;
  }
}
