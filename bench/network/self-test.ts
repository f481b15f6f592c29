import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/base/clock.ts";
import { judgeNetwork, measureNetwork, portOf, startCountingServer } from "./measure-network.ts";
import { networkNames, networkProfiles } from "./profiles.ts";
import { startProxy } from "./proxied.ts";

/**
 * Measures every network's proxy and says, line by line, what it claims and what it delivers. Returns
 * whether every claim was kept.
 */
export async function testNetworks(clock: Clock, print: (line: string) => void): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "changeover-network-"));
  const server = await startCountingServer();
  let isKept = true;
  try {
    for (const name of networkNames.filter((each) => each !== "loopback")) {
      const profile = networkProfiles[name];
      const target = { host: "127.0.0.1", port: portOf(server) };
      const proxy = await startProxy(name, target, { clock, folder });
      try {
        const measured = await measureNetwork(proxy.port, profile, clock);
        for (const each of judgeNetwork(profile, measured)) {
          isKept &&= each.isKept;
          const claimed = `${each.claimed} ${each.unit}`;
          const seen = `${each.measured.toFixed(1)} ${each.unit}`;
          const label = `${name}: ${each.claim}`.padEnd(42);
          print(
            `${label} claims ${claimed.padEnd(10)} has ${seen.padEnd(12)} ${each.isKept ? "kept" : "BROKEN"}`,
          );
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
