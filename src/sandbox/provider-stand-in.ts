import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { type StartedBackend, serveParent } from "./child/child-side.ts";
import { lockFolder } from "./folder-lock.ts";
import { keysOf, newKey } from "./key-file.ts";
import { ADMIN_PREFIX } from "./provider/admin.ts";
import { GLM_WIRE } from "./provider/glm-wire.ts";
import { KIMI_WIRE } from "./provider/kimi-wire.ts";
import { StandIn } from "./provider/stand-in.ts";
import type { ProviderWire } from "./provider/wire.ts";

/** What the parent sends. */
export interface StandInSettings {
  /** The stand-ins' own folder: their files and keys. */
  readonly folder: string;
  /** 0: any free one. */
  readonly ports: { readonly kimi: number; readonly glm: number };
}

/** Where one stand-in is. */
export interface StandInAddress {
  /** What a provider's client is configured with. */
  readonly baseUrl: string;
  readonly apiKey: string;
  /** Reports and faults, for tests. */
  readonly adminUrl: string;
}

/** What the parent gets back. */
export interface StandInsReady {
  readonly kimi: StandInAddress;
  readonly glm: StandInAddress;
}

serveParent(startStandIns);

async function startStandIns(settings: StandInSettings): Promise<StartedBackend<StandInsReady>> {
  const { folder, ports } = settings;
  const lock = lockFolder(folder);
  const keys = keysOf(join(folder, "keys.json"), {
    kimi: () => newKey("sk-stand-in-"),
    glm: () => newKey("stand-in-"),
  });
  const start = (wire: ProviderWire): Promise<StandIn> =>
    StandIn.start({
      wire,
      folder: join(folder, wire.name),
      apiKey: keys[wire.name],
      port: ports[wire.name],
      clock: systemClock,
    });
  const [kimi, glm] = await Promise.all([start(KIMI_WIRE), start(GLM_WIRE)]);
  const address = (standIn: StandIn, wire: ProviderWire): StandInAddress => ({
    baseUrl: standIn.origin + wire.basePath,
    apiKey: keys[wire.name],
    adminUrl: standIn.origin + ADMIN_PREFIX,
  });
  return {
    ready: { kimi: address(kimi, KIMI_WIRE), glm: address(glm, GLM_WIRE) },
    stop: async () => {
      await Promise.all([kimi.close(), glm.close()]);
      lock.release();
    },
  };
}
