import type { AnyOperation } from "../migration/operation.ts";
import type { Comparison } from "./comparison.ts";
import type { Difference } from "./difference.ts";

/** When a field counts as noise: it differs between two runs of legacy about as often as between the paths. */
export interface NoiseLimits {
  /** Share of shadowed reads after which legacy is run once more, 0 to 1; default 0.01. */
  readonly readShare: number;
  /** The same for writes, whose rehearsals cost more; default 0: never. */
  readonly writeShare: number;
  /** Comparisons of legacy with legacy before any field may count as noise; default 20. */
  readonly samplesMin: number;
  /**
   * A field is no noise where its two rates differ by more than this share of their sum, default 0.2, and
   * by more than `absolute`. Both defaults are those of Diffy (20 % and 0.03 %).
   */
  readonly relative: number;
  /** See `relative`; a share of all comparisons, default 0.0003. */
  readonly absolute: number;
  /** Fields remembered for each operation; beyond it a field is never noise. Default 200. */
  readonly fieldsMax: number;
  /** Comparisons after which all counts are halved, so that the past fades; default 100,000. */
  readonly memory: number;
}

/** The limits of a process that says nothing about them. */
export const defaultNoiseLimits: NoiseLimits = {
  readShare: 0.01,
  writeShare: 0,
  samplesMin: 20,
  relative: 0.2,
  absolute: 0.0003,
  fieldsMax: 200,
  memory: 100_000,
};

/** How often one field differed, and whether that is noise. */
export interface NoiseField {
  readonly operation: string;
  /** Dotted path, with `*` for any item of a list. */
  readonly path: string;
  /** Comparisons of legacy with the candidate in which it differed, of `rawOf`. */
  readonly raw: number;
  readonly rawOf: number;
  /** Comparisons of legacy with legacy in which it differed, of `noiseOf`. */
  readonly noise: number;
  readonly noiseOf: number;
  readonly isNoise: boolean;
}

/** What remains of a comparison once noise is left out. */
export interface Denoised {
  readonly comparison: Comparison;
  /** Fields that differed and were left out as noise. */
  readonly noise: readonly string[];
}

interface Counts {
  raw: number;
  noise: number;
}

interface Known {
  rawOf: number;
  noiseOf: number;
  readonly fields: Map<string, Counts>;
}

/** One path answered and the other did not: whether that is a fault is for the guard to say. */
const neverNoise = "(outcome)";

/**
 * Learns which fields of an operation's answers differ by themselves, from legacy runs compared with
 * legacy runs, and leaves those out of comparisons. The idea and the thresholds are Diffy's.
 */
export class Noise {
  readonly #limits: NoiseLimits;
  readonly #operations = new Map<AnyOperation, Known>();

  constructor(limits: Partial<NoiseLimits> = {}) {
    this.#limits = { ...defaultNoiseLimits, ...limits };
  }

  /** The share of an operation's shadows after which legacy is run once more. */
  shareOf(operation: AnyOperation): number {
    const { readShare, writeShare } = this.#limits;
    return operation.definition.kind === "read" ? readShare : writeShare;
  }

  /** Takes note of a comparison of legacy with legacy. */
  learn(operation: AnyOperation, comparison: Comparison): void {
    if (comparison.kind !== "same" && comparison.kind !== "different") return;
    const known = this.#knownOf(operation);
    known.noiseOf += 1;
    this.#count(known, comparison, "noise");
  }

  /** Takes note of a comparison of the two paths, and leaves out of it what is noise. */
  sift(operation: AnyOperation, comparison: Comparison): Denoised {
    if (comparison.kind !== "same" && comparison.kind !== "different") {
      return { comparison, noise: [] };
    }
    const known = this.#knownOf(operation);
    known.rawOf += 1;
    this.#count(known, comparison, "raw");
    if (known.rawOf >= this.#limits.memory) fade(known);
    if (comparison.kind === "same") return { comparison, noise: [] };
    const isNoise = ({ path }: Difference): boolean => this.#isNoise(known, fieldOf(path));
    const rest = comparison.differences.filter((difference) => !isNoise(difference));
    const noise = new Set(
      comparison.differences.filter(isNoise).map((difference) => fieldOf(difference.path)),
    );
    // Of what was not looked at nobody knows that it is noise.
    const isSame = rest.length === 0 && !comparison.truncated;
    if (isSame) return { comparison: { kind: "same" }, noise: [...noise] };
    const differences = rest.length === 0 ? comparison.differences : rest;
    return { comparison: { ...comparison, differences }, noise: [...noise] };
  }

  /** Every field that ever differed, noise first; of one operation where it is named. */
  fields(operation?: string): readonly NoiseField[] {
    const listed = [...this.#operations].flatMap(([{ name }, known]) =>
      operation !== undefined && operation !== name
        ? []
        : [...known.fields].map(([path, { raw, noise }]) => ({
            operation: name,
            path,
            raw,
            rawOf: known.rawOf,
            noise,
            noiseOf: known.noiseOf,
            isNoise: this.#isNoise(known, path),
          })),
    );
    return listed.sort((a, b) => Number(b.isNoise) - Number(a.isNoise));
  }

  #count(known: Known, comparison: Comparison, what: keyof Counts): void {
    if (comparison.kind !== "different") return;
    for (const field of new Set(comparison.differences.map(({ path }) => fieldOf(path)))) {
      const counts = known.fields.get(field) ?? { raw: 0, noise: 0 };
      counts[what] += 1;
      if (known.fields.has(field) || known.fields.size < this.#limits.fieldsMax) {
        known.fields.set(field, counts);
      }
    }
  }

  #isNoise(known: Known, field: string): boolean {
    const counts = known.fields.get(field);
    if (counts === undefined || field === neverNoise) return false;
    return isNoise({ ...counts, rawOf: known.rawOf, noiseOf: known.noiseOf }, this.#limits);
  }

  #knownOf(operation: AnyOperation): Known {
    const known = this.#operations.get(operation);
    if (known !== undefined) return known;
    const made: Known = { rawOf: 0, noiseOf: 0, fields: new Map() };
    this.#operations.set(operation, made);
    return made;
  }
}

/**
 * Does a field differ by itself? Pure. Diffy compares counts, because it runs everything three times;
 * here legacy is repeated for a sample only, so that rates are compared. A field that never differed
 * between two runs of legacy is no noise, and none is before there are enough of them.
 */
export function isNoise(
  seen: Pick<NoiseField, "raw" | "rawOf" | "noise" | "noiseOf">,
  limits: Pick<NoiseLimits, "samplesMin" | "relative" | "absolute">,
): boolean {
  if (seen.noiseOf < limits.samplesMin || seen.noise === 0) return false;
  const raw = seen.rawOf === 0 ? 0 : seen.raw / seen.rawOf;
  const noise = seen.noise / seen.noiseOf;
  const more = raw - noise;
  return more <= limits.absolute || more / (raw + noise) <= limits.relative;
}

/** A difference's path whatever the item of a list. */
export function fieldOf(path: string): string {
  return path.replace(/(^|\.)\d+(?=\.|$)/g, "$1*");
}

function fade(known: Known): void {
  known.rawOf /= 2;
  known.noiseOf /= 2;
  for (const counts of known.fields.values()) {
    counts.raw /= 2;
    counts.noise /= 2;
  }
}
