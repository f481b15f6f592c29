import { createHmac, randomBytes } from "node:crypto";

/**
 * Finds what a secret stands for without telling by its time which secrets exist: what is looked up is a
 * keyed hash, under a key of this process, which nobody outside can aim at.
 */
export class SecretTable<T> {
  readonly #key = randomBytes(32);
  readonly #values: ReadonlyMap<string, T>;

  constructor(secrets: Iterable<readonly [secret: string, value: T]>) {
    this.#values = new Map(Array.from(secrets, ([secret, value]) => [this.#digest(secret), value]));
  }

  /** What the secret stands for, or null. */
  find(given: string): T | null {
    return this.#values.get(this.#digest(given)) ?? null;
  }

  #digest(secret: string): string {
    return createHmac("sha256", this.#key).update(secret).digest("base64");
  }
}

/** The token of an `Authorization: Bearer <token>` header, or null. */
export function bearerOf(authorization: string | undefined): string | null {
  return /^bearer +(\S+) *$/i.exec(authorization ?? "")?.[1] ?? null;
}
