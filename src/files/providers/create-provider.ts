import { type Clock, systemClock } from "../../base/clock.ts";
import { providerMisconfigured } from "../provider-errors.ts";
import { Rate } from "../retry/rate.ts";
import { BufferedTransport } from "./buffered-transport.ts";
import { glmDialect, kimiDialect } from "./dialect.ts";
import { HttpProvider } from "./http-provider.ts";
import type { Provider } from "./provider.ts";
import { type StreamingLimits, StreamingTransport } from "./streaming-transport.ts";
import type { TransportTarget } from "./transport.ts";

/** Time limits in milliseconds; what is left out has its default. */
export interface ProviderTimeouts {
  /** To open a connection; default 8000. Streaming transport only, as the next three. */
  readonly connectMs?: number;
  /** Without a byte sent; cut after one to two such times. Default 30 000. */
  readonly idleMs?: number;
  /** From the last byte sent to the answer; default 300 000, as the provider reads the file then. */
  readonly headersMs?: number;
  /** Without a byte of the answer's body; default 30 000. */
  readonly bodyMs?: number;
  /** An upload in all; default 1 800 000. */
  readonly uploadMs?: number;
  /** Any other request in all; default 30 000. */
  readonly requestMs?: number;
}

/** How to reach a provider. */
export interface ProviderOptions {
  readonly name: Provider["name"];
  /** Such as `https://api.moonshot.ai/v1` or `https://api.z.ai/api/paas/v4`. */
  readonly baseUrl: string;
  readonly apiKey: string;
  /** `buffered` is what the legacy path does; `streaming` is the candidate's. */
  readonly transport: "streaming" | "buffered";
  /** Connections of the streaming transport; default 8. */
  readonly connections?: number;
  /** Bytes of files sent in a second, all uploads together; default: no limit. Streaming transport only. */
  readonly bytesPerSecond?: number;
  readonly timeouts?: ProviderTimeouts;
  readonly clock?: Clock;
}

const dialects = { kimi: kimiDialect, glm: glmDialect } as const;

/**
 * A client of Kimi's or GLM's file API. Opens no connection before it is used. Throws
 * `FILES_PROVIDER_MISCONFIGURED` when the address or the key cannot be one.
 */
export function createProvider(options: ProviderOptions): Provider {
  const { name, timeouts = {}, clock = systemClock } = options;
  const target = targetOf(options);
  const limits: StreamingLimits = {
    connections: options.connections ?? 8,
    connectMs: timeouts.connectMs ?? 8000,
    idleMs: timeouts.idleMs ?? 30_000,
    headersMs: timeouts.headersMs ?? 300_000,
    bodyMs: timeouts.bodyMs ?? 30_000,
    byteRate: options.bytesPerSecond === undefined ? null : new Rate(options.bytesPerSecond, clock),
  };
  return new HttpProvider({
    dialect: dialects[name],
    transport:
      options.transport === "streaming"
        ? new StreamingTransport(target, limits, clock)
        : new BufferedTransport(target),
    clock,
    apiKey: target.apiKey,
    uploadMs: timeouts.uploadMs ?? 1_800_000,
    requestMs: timeouts.requestMs ?? 30_000,
  });
}

function targetOf({ name, baseUrl, apiKey }: ProviderOptions): TransportTarget {
  const url = URL.parse(baseUrl);
  const usable = url !== null && /^https?:$/.test(url.protocol) && url.search + url.hash === "";
  if (!usable || url.username !== "" || url.password !== "") {
    throw providerMisconfigured(name, "its base URL must be http(s)://host/path and nothing more");
  }
  // A key that no header can carry would end up in the client's own error message.
  if (!/^[\x21-\x7e]{1,4096}$/.test(apiKey)) {
    throw providerMisconfigured(name, "its key must be printable ASCII without spaces");
  }
  return { baseUrl: `${url.origin}${url.pathname.replace(/\/+$/, "")}`, apiKey };
}
