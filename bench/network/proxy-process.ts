import { systemClock } from "../../src/base/clock.ts";
import { serveParent } from "../../src/sandbox/child/child-side.ts";
import { type NetworkName, networkProfiles } from "./profiles.ts";
import { NetworkProxy, type ProxyTarget } from "./proxy.ts";

/** What the parent sends. */
export interface ProxySettings {
  readonly network: NetworkName;
  readonly target: ProxyTarget;
}

/** What the parent gets back. */
export interface ProxyReady {
  readonly port: number;
}

serveParent<ProxySettings, ProxyReady>(async ({ network, target }) => {
  const proxy = await NetworkProxy.listen(target, networkProfiles[network], systemClock);
  return { ready: { port: proxy.port }, stop: () => proxy.close() };
});
