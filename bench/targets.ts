import { readFile } from "node:fs/promises";
import * as v from "valibot";
import type { Comparison } from "../src/harness/measurement.ts";
import type { Target, TargetResult } from "../src/harness/target.ts";
import { limits } from "./subjects/transfer.ts";

/** A peer that may be better than we are in one case, and why. */
export interface PeerException {
  readonly case: string;
  readonly peer: string;
  readonly reason: string;
}

/** One limit of the gate. */
export interface GateLimit {
  readonly id: string;
  readonly text: string;
  readonly unit: string;
  /** Fails when all of the interval is above it. */
  readonly limit: number;
}

/** `bench/targets.json`. */
export interface TargetsFile {
  readonly targets: readonly Target[];
  readonly peerExceptions: readonly PeerException[];
  readonly gate: readonly GateLimit[];
}

const text: v.GenericSchema<string, string> = v.pipe(v.string(), v.minLength(1));
const id: v.GenericSchema<string, string> = v.pipe(v.string(), v.regex(/^[a-z0-9]+(-[a-z0-9]+)*$/));

const schema = v.strictObject({
  schemaVersion: v.literal(1),
  targets: v.array(
    v.strictObject({
      id,
      text,
      source: v.picklist(["promise", "ours"]),
      case: text,
      measure: text,
      base: v.exactOptional(text),
      contender: v.exactOptional(text),
      read: v.picklist(["ratio", "base", "contender", "difference", "figure"]),
      bound: v.picklist(["at-most", "at-least"]),
      limit: v.number(),
      unit: text,
      coresMin: v.exactOptional(v.number()),
      obstacle: v.exactOptional(text),
    }),
  ),
  peerExceptions: v.array(v.strictObject({ case: text, peer: text, reason: text })),
  gate: v.array(v.strictObject({ id, text, unit: text, limit: v.number() })),
});

/** Reads and checks `bench/targets.json`. Throws valibot's error naming what is wrong. */
export async function readTargets(): Promise<TargetsFile> {
  const json = await readFile(new URL("./targets.json", import.meta.url), "utf8");
  return v.parse(schema, JSON.parse(json));
}

/** Measures by which a peer is compared; throughput is better when higher. */
const throughput = "throughput";
const memory = "memory over idle, small heap";

/**
 * One result for each case and peer that was compared: passes when we are certainly faster or certainly
 * need less memory, fails when we are certainly neither and the pair is no listed exception, and is
 * inconclusive while an interval leaves it open. Where memory is not measured, speed decides alone. The value is our throughput divided by the peer's.
 */
export function judgePeers(
  { comparisons, quick }: { readonly comparisons: readonly Comparison[]; readonly quick: boolean },
  exceptions: readonly PeerException[],
): TargetResult[] {
  const speeds = comparisons.filter(
    (each) =>
      each.case.startsWith("peers-") &&
      each.measure === throughput &&
      !limits.some((limit) => limit === each.baseName),
  );
  return speeds.flatMap((speed) => {
    const { case: name, baseName: peer, ratio, ratioCi95 } = speed;
    if (exceptions.some((each) => each.case === name && each.peer === peer)) return [];
    const need = comparisons.find(
      (each) =>
        each.case === name &&
        each.measure === memory &&
        each.baseName === peer &&
        each.contenderName === speed.contenderName,
    );
    const readings = [speed.reading, ...(need === undefined ? [] : [need.reading])];
    const verdict =
      quick || (!readings.includes("better") && readings.includes("unclear"))
        ? "inconclusive"
        : readings.includes("better")
          ? "pass"
          : "fail";
    return [
      {
        id: `${name}-against-${peer.replace(/[^a-z0-9]+/gi, "-").toLowerCase()}`,
        text: `${peer} is slower or needs more memory than ${speed.contenderName} (value: our throughput / theirs)`,
        source: "ours",
        case: name,
        unit: "x",
        bound: "at-least",
        limit: 1,
        value: ratio,
        ci95: ratioCi95,
        verdict,
        why: verdict !== "inconclusive" ? "" : quick ? "a quick run decides nothing" : "unclear",
      } satisfies TargetResult,
    ];
  });
}
