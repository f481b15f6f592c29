import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

interface Entry<T> {
  readonly digest: Buffer;
  readonly value: T;
}

/**
 * Finds what a secret stands for without telling by its time which secrets exist: both sides are
 * hashed under a key of this process, and every entry is compared, also after one has matched.
 */
export class SecretTable<T> {
  readonly #key = randomBytes(32);
  readonly #entries: readonly Entry<T>[];

  constructor(secrets: Iterable<readonly [secret: string, value: T]>) {
    this.#entries = Array.from(secrets, ([secret, value]) => ({
      digest: this.#digest(secret),
      value,
    }));
  }

  /** What the secret stands for, or null. */
  find(given: string): T | null {
    const digest = this.#digest(given);
    let found: T | null = null;
    for (const entry of this.#entries) {
      if (timingSafeEqual(entry.digest, digest)) found = entry.value;
    }
    return found;
  }

  #digest(secret: string): Buffer {
    return createHmac("sha256", this.#key).update(secret).digest();
  }
}

/** The token of an `Authorization: Bearer <token>` header, or null. */
export function bearerOf(authorization: string | undefined): string | null {
  return /^bearer +(\S+) *$/i.exec(authorization ?? "")?.[1] ?? null;
}
