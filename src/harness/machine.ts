import { arch, cpus, loadavg, platform, release, totalmem } from "node:os";

/** Load averages over 1, 5 and 15 minutes; all 0 on Windows, which has none. */
export type Load = readonly [number, number, number];

/** What a measurement depends on; nothing that names the machine or its owner. */
export interface MachineFacts {
  readonly node: string;
  readonly v8: string;
  readonly platform: string;
  /** Major and minor version of the kernel. */
  readonly kernel: string;
  readonly arch: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly loadBefore: Load;
  readonly loadAfter: Load;
}

/** The load right now. */
export function currentLoad(): Load {
  const [one = 0, five = 0, fifteen = 0] = loadavg();
  return [one, five, fifteen];
}

/** The facts of this machine, with the load as it was before and is now. */
export function machineFacts(loadBefore: Load): MachineFacts {
  const processors = cpus();
  return {
    node: process.versions.node,
    v8: process.versions.v8,
    platform: platform(),
    kernel: release().split(".", 2).join("."),
    arch: arch(),
    cpu: processors[0]?.model ?? "unknown",
    cores: processors.length,
    memoryBytes: totalmem(),
    loadBefore,
    loadAfter: currentLoad(),
  };
}
