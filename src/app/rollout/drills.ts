import { DrillCertificates } from "../../disk/drill-certificates.ts";
import type { Config } from "../config.ts";

/** Where drills are kept: a gate of a rollout may ask for a recent one. */
export function drillCertificates({ dataDir }: Pick<Config, "dataDir">): DrillCertificates {
  return new DrillCertificates(dataDir);
}
