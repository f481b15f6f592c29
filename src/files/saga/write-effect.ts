import type { WriteEffect } from "../errors.ts";

const effects = new WeakMap<object, WriteEffect>();

/** Remembers what is known about the write that ended in `thrown`; the error object stays as it is. */
export function recordEffect(thrown: unknown, effect: WriteEffect): void {
  if (typeof thrown === "object" && thrown !== null) effects.set(thrown, effect);
}

/** `absent` only when it was proven that the write that threw this left nothing; else `possible`. */
export function effectOf(thrown: unknown): WriteEffect {
  if (typeof thrown !== "object" || thrown === null) return "possible";
  return effects.get(thrown) ?? "possible";
}

/**
 * Runs an upload. Whatever ends it before a step could have an effect (see `recordEffect`) is proven to
 * have had none: bytes that cannot be read, a full queue, an abort while waiting.
 */
export async function withEffect<T>(upload: () => Promise<T>): Promise<T> {
  try {
    return await upload();
  } catch (error) {
    if (typeof error === "object" && error !== null && !effects.has(error)) {
      effects.set(error, "absent");
    }
    throw error;
  }
}

/** What the failed step itself says about its effect in `details.effect` (see `errors.ts`). */
export function ownEffectOf(thrown: unknown): WriteEffect {
  const details = (thrown as { details?: { effect?: unknown } } | null | undefined)?.details;
  return details?.effect === "absent" ? "absent" : "possible";
}
