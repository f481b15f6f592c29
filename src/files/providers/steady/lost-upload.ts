import { escapedName } from "../multipart.ts";
import type { ProviderFile } from "../provider.ts";

/** An upload whose reply never came. */
export interface LostUpload {
  readonly name: string;
  readonly sizeBytes: number;
  /** When it was sent first, in milliseconds since 1970. */
  readonly startedMs: number;
}

/** What a provider's list says about a lost upload. */
export type LostUploadFinding =
  | { readonly kind: "found"; readonly file: ProviderFile }
  | { readonly kind: "absent" }
  /** Several files could be meant: nobody can tell whose bytes they are. */
  | { readonly kind: "ambiguous"; readonly ids: readonly string[] };

/** What is known beside the list. */
export interface LostUploadFacts {
  readonly nowMs: number;
  /** How far the provider's clock may be from ours, in milliseconds. */
  readonly clockSkewMs: number;
  /** Is this file known to belong to another upload? */
  readonly isKnown: (id: string) => boolean;
}

/**
 * Did the lost upload arrive? No provider takes an idempotency key or shows a hash, so a file is
 * recognised by name, size and time of creation, and only when no other could be meant. Pure.
 */
export function findLostUpload(
  lost: LostUpload,
  listed: readonly ProviderFile[],
  facts: LostUploadFacts,
): LostUploadFinding {
  const { nowMs, clockSkewMs, isKnown } = facts;
  const names = [lost.name, escapedName(lost.name)];
  // Providers show whole seconds.
  const fromMs = lost.startedMs - clockSkewMs - 1000;
  const toMs = nowMs + clockSkewMs;
  const matching = listed.filter(({ id, name, sizeBytes, createdAt }) => {
    const createdMs = Date.parse(createdAt);
    const isInTime = createdMs >= fromMs && createdMs <= toMs;
    return isInTime && sizeBytes === lost.sizeBytes && names.includes(name) && !isKnown(id);
  });
  const [file, ...more] = matching;
  if (file === undefined) return { kind: "absent" };
  if (more.length === 0) return { kind: "found", file };
  return { kind: "ambiguous", ids: matching.map(({ id }) => id) };
}
