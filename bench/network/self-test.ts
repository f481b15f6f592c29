import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/base/clock.ts";
import {
  judgeNetwork,
  measureNetwork,
  type NetworkClaim,
  portOf,
  startCountingServer,
} from "./measure-network.ts";
import { type NetworkName, networkNames, networkProfiles } from "./profiles.ts";
import { startProxy } from "./proxied.ts";

/** How the networks are tested. */
export interface SelfTestOptions {
  readonly clock: Clock;
  /** Aborting stops before the next network is measured; the proxy and the folder are gone then. */
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
}

/**
 * Measures every network's proxy and says, line by line, what it claims, what is accepted and what it
 * delivers. Returns whether every claim was kept. Throws the signal's reason.
 */
export async function testNetworks({ clock, signal, print }: SelfTestOptions): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "changeover-network-"));
  const server = await startCountingServer();
  let isKept = true;
  try {
    signal.throwIfAborted();
    for (const name of networkNames.filter((each) => each !== "loopback")) {
      const profile = networkProfiles[name];
      const target = { host: "127.0.0.1", port: portOf(server) };
      const proxy = await startProxy(name, target, { clock, folder });
      try {
        const measured = await unlessAborted(measureNetwork(proxy.port, profile, clock), signal);
        for (const each of judgeNetwork(profile, measured)) {
          isKept &&= each.isKept;
          print(lineOf(name, each));
        }
      } finally {
        await proxy.close();
      }
    }
    return isKept;
  } finally {
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** What has begun is left to end by itself: its sockets are the proxy's, which is closed. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  work.catch(() => undefined);
  return Promise.race([work, promise]).finally(() => signal.removeEventListener("abort", onAbort));
}

function lineOf(name: NetworkName, each: NetworkClaim): string {
  const { claim, claimed, unit, measured, low, high, isKept } = each;
  const label = `${name}: ${claim}`.padEnd(42);
  const wants = `${claimed} ${unit}`.padEnd(10);
  const seen = `${measured.toFixed(1)} ${unit}`.padEnd(12);
  const accepted = `(${low.toFixed(1)} to ${high.toFixed(1)} accepted)`;
  return `${label} claims ${wants} has ${seen} ${isKept ? "kept" : "BROKEN"} ${accepted}`;
}
