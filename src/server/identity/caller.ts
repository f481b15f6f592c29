import type { IncomingHttpHeaders } from "node:http";
import type { App } from "../../app/app.ts";
import type { Path } from "../../migration/call.ts";
import { invalidHeader, operatorTokenRequired, unauthorised } from "../errors.ts";
import { bearerOf, SecretTable } from "./secret.ts";

/** The owner of everything when no keys are configured. */
export const LOCAL_OWNER = "local";

/** On whose behalf a call is made, and how it is routed. */
export interface Caller {
  readonly owner: string;
  readonly routingKey: string;
  /** The path an operator asked for. */
  readonly override: Path | null;
}

/** Tells callers apart by their keys, and operators by their token. */
export class Callers {
  readonly #owners: SecretTable<string> | null;
  readonly #operator: SecretTable<true>;

  constructor(app: Pick<App, "owners" | "operatorToken">) {
    this.#owners = app.owners === null ? null : new SecretTable(app.owners);
    this.#operator = new SecretTable([[app.operatorToken, true]]);
  }

  /**
   * Who calls. Throws `GATEWAY_UNAUTHORISED`; for `x-changeover-key` and `x-changeover-path` without
   * the operator token in `x-changeover-token` `GATEWAY_OPERATOR_TOKEN_REQUIRED` (403), and for values
   * they cannot have `GATEWAY_INVALID_HEADER`.
   */
  identify(headers: IncomingHttpHeaders, requestId: string): Caller {
    const owner = this.#ownerOf(headers.authorization);
    const key = headers["x-changeover-key"];
    const path = headers["x-changeover-path"];
    if (key !== undefined || path !== undefined) this.#requireRoutingToken(headers);
    return {
      owner,
      routingKey: key === undefined ? this.#defaultKey(owner, requestId) : checkKey(key),
      override: path === undefined ? null : checkPath(path),
    };
  }

  /** Throws `GATEWAY_OPERATOR_TOKEN_REQUIRED` (401) unless the bearer is the operator token. */
  requireOperator(headers: IncomingHttpHeaders, what: string): void {
    const token = bearerOf(headers.authorization);
    if (token !== null && this.#operator.find(token) !== null) return;
    throw operatorTokenRequired(what, "`Authorization: Bearer <token>`", 401);
  }

  #ownerOf(authorization: string | undefined): string {
    if (this.#owners === null) return LOCAL_OWNER;
    const key = bearerOf(authorization);
    const owner = key === null ? null : this.#owners.find(key);
    if (owner === null) throw unauthorised();
    return owner;
  }

  /**
   * An owner stays on one path, so the owner is the key. Without keys there is only one owner: routed
   * by it, 10 % would be all calls or none, so there each call is routed by its own id.
   */
  #defaultKey(owner: string, requestId: string): string {
    return this.#owners === null ? requestId : owner;
  }

  #requireRoutingToken(headers: IncomingHttpHeaders): void {
    const token = headers["x-changeover-token"];
    if (typeof token === "string" && this.#operator.find(token) !== null) return;
    throw operatorTokenRequired("Choosing a routing key or a path", "`x-changeover-token`", 403);
  }
}

function checkKey(key: string | string[]): string {
  if (typeof key === "string" && /^[\x21-\x7e]{1,256}$/.test(key)) return key;
  throw invalidHeader("x-changeover-key", "1 to 256 visible ASCII characters");
}

function checkPath(path: string | string[]): Path {
  if (path === "legacy" || path === "candidate") return path;
  throw invalidHeader("x-changeover-path", "`legacy` or `candidate`");
}
