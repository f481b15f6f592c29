import type { IncomingMessage } from "node:http";
import { isIPv4 } from "node:net";
import { crossSite, hostRefused } from "../errors.ts";

/** Is this an address that only this machine can reach? */
export function isLoopbackHost(host: string): boolean {
  const name = bare(host);
  return name === "localhost" || name === "::1" || (isIPv4(name) && name.startsWith("127."));
}

/**
 * Throws `GATEWAY_HOST_REFUSED` when a gateway on loopback is called by a name that is not this
 * machine's: a web page whose name was rebound to 127.0.0.1 must not reach it.
 */
export function checkHost(host: string | undefined, listeningHost: string): void {
  if (!isLoopbackHost(listeningHost)) return;
  const name = bare((host ?? "").replace(/:\d{1,5}$/, ""));
  const known = ["127.0.0.1", "localhost", "::1", bare(listeningHost)];
  if (!known.includes(name)) throw hostRefused(host);
}

/**
 * Throws `GATEWAY_CROSS_SITE` when a browser says that a page of another site sends something that
 * could change state; such a request needs no permission of ours to be sent, only to be read.
 */
export function checkSite(request: Pick<IncomingMessage, "method" | "headers">): void {
  const { method = "", headers } = request;
  if (["GET", "HEAD", "OPTIONS"].includes(method)) return;
  const site = headers["sec-fetch-site"];
  if (site === "cross-site" || site === "same-site") throw crossSite();
  const { origin, host } = headers;
  if (origin !== undefined && hostOf(origin) !== host?.toLowerCase()) throw crossSite();
}

/**
 * Throws `GATEWAY_CROSS_SITE` for a request that a page of another site makes: it could not read the
 * answer, but it could take the room of those who may.
 */
export function checkOwnPage({ headers }: Pick<IncomingMessage, "headers">): void {
  const site = headers["sec-fetch-site"];
  if (site === "cross-site" || site === "same-site") throw crossSite();
}

function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}

function bare(host: string): string {
  return host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
}
