import type { IncomingMessage, ServerResponse } from "node:http";
import { readSmallBody, sendJson } from "../loopback-server.ts";
import { type FaultBook, type FaultPlan, parseFaultPlan } from "./faults.ts";
import type { ProviderFile } from "./provider-files.ts";

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
  readonly faults: FaultPlan | null;
}

/** What the admin routes act on. */
export interface AdminTarget {
  report(): StandInReport;
  readonly faults: FaultBook;
  /** Forgets all files and counts. */
  reset(): Promise<void>;
}

const MAX_ADMIN_BYTES = 64 * 1024;

/**
 * `GET /__stand-in/report`, `PUT /__stand-in/faults` (JSON, see `parseFaultPlan`), `DELETE
 * /__stand-in/faults`, `DELETE /__stand-in/files`. No key is asked for: only this machine gets here,
 * and changes need JSON or a method that no web page can send unasked.
 */
export async function serveAdmin(
  request: IncomingMessage,
  response: ServerResponse,
  target: AdminTarget,
): Promise<void> {
  const path = (request.url ?? "").slice(ADMIN_PREFIX.length).split("?")[0];
  const call = `${request.method} ${path}`;
  if (call === "GET /report") return sendJson(response, 200, target.report());
  if (call === "DELETE /faults") {
    target.faults.clear();
    return sendJson(response, 200, { faults: null });
  }
  if (call === "DELETE /files") {
    await target.reset();
    return sendJson(response, 200, target.report());
  }
  if (call !== "PUT /faults") return sendJson(response, 404, { message: `There is no ${call}.` });
  const plan = parseFaultPlan(await readJson(request));
  if (typeof plan === "string") return sendJson(response, 400, { message: plan });
  target.faults.set(plan);
  sendJson(response, 200, { faults: plan });
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readSmallBody(request, MAX_ADMIN_BYTES);
  try {
    return JSON.parse(body?.toString("utf8") ?? "");
  } catch {
    return undefined;
  }
}
