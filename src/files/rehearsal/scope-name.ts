import { randomBytes } from "node:crypto";

/** The first part of every key, owner and purpose of a rehearsal; no provider has this name. */
export const REHEARSAL_ROOT = "rehearsal";

/** The name of one rehearsal's isolated place. */
export interface ScopeName {
  /**
   * `rehearsal/<process>/<start>-<chance>`: starts its object keys, and the owners and purposes of its
   * rows. An owner's name has no slash (see the keys file), so that nobody can ever be this owner.
   */
  readonly prefix: string;
  /** When it was begun, in milliseconds since the Unix epoch. */
  readonly startedMs: number;
}

/** A name of its own for every process; eight hex digits. */
export function processName(): string {
  return randomBytes(4).toString("hex");
}

/** A new name. */
export function scopeName(process: string, nowMs: number): ScopeName {
  const startedMs = Math.trunc(nowMs);
  const id = `${startedMs.toString(36)}-${randomBytes(6).toString("hex")}`;
  return { prefix: `${REHEARSAL_ROOT}/${process}/${id}`, startedMs };
}

const pattern = /^rehearsal\/[0-9a-f]{8}\/([0-9a-z]{1,11})-[0-9a-f]{12}(?=\/|$)/;

/** The scope that a key, an owner or a purpose belongs to; null for everything else. */
export function scopeOf(text: string): ScopeName | null {
  const found = pattern.exec(text);
  if (found === null) return null;
  return { prefix: found[0], startedMs: Number.parseInt(found[1] ?? "", 36) };
}
