import { join } from "node:path";
import type { Clock } from "../../src/base/clock.ts";
import { ChildLog } from "../../src/sandbox/child/child-log.ts";
import { BackendProcess } from "../../src/sandbox/child/child-process.ts";
import type { NetworkName } from "./profiles.ts";
import type { ProxyTarget } from "./proxy.ts";
import type { ProxyReady, ProxySettings } from "./proxy-process.ts";

/** A proxy in a process of its own. */
export interface ProxyProcess {
  readonly port: number;
  readonly pid: number;
  close(): Promise<void>;
}

/** Starts a proxy in front of a server of this machine; its log goes to `folder`. */
export async function startProxy(
  network: NetworkName,
  target: ProxyTarget,
  { clock, folder }: { readonly clock: Clock; readonly folder: string },
): Promise<ProxyProcess> {
  const name = `network-${network}-${target.port}`;
  const { process, ready } = await BackendProcess.start<ProxySettings, ProxyReady>({
    name,
    program: new URL("./proxy-process.ts", import.meta.url),
    settings: { network, target },
    log: new ChildLog({ file: join(folder, `${name}.log`) }),
    clock,
    startTimeoutMs: 15_000,
  });
  return { port: ready.port, pid: process.pid, close: () => process.stop() };
}
