import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder, replaceFile } from "../base/atomic-file.ts";
import { codeOf } from "../base/errors.ts";

/** A drill that was held, with its results: the proof that the way back worked on that day. */
export interface DrillCertificate {
  readonly operation: string;
  /** ISO 8601, when it ended. */
  readonly at: string;
  readonly passed: boolean;
  /** One entry for each fault, as `changeover drill --json` prints them. */
  readonly results: readonly unknown[];
}

/** Certificates that are looked at when the newest is asked for. */
const readMax = 200;
const pattern = /^(\d{8}T\d{9}Z)-([a-z0-9.-]{1,170})\.json$/;

/** Drill certificates as files of `<folder>/drills`, one for each drill, never changed. */
export class DrillCertificates {
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = join(dataDir, "drills");
  }

  /** Returns the certificate's path. */
  async keep(certificate: DrillCertificate): Promise<string> {
    await makeFolder(this.#folder);
    const stamp = certificate.at.replace(/[-:.]/g, "");
    const path = join(this.#folder, `${stamp}-${certificate.operation}.json`);
    await replaceFile(path, `${JSON.stringify(certificate, null, 2)}\n`);
    return path;
  }

  /** When the operation's newest passed drill was held, in milliseconds since the Unix epoch; null: never. */
  async passedMs(operation: string): Promise<number | null> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if (codeOf(error) === "ENOENT") return [];
      throw error;
    });
    const own = names.filter((name) => pattern.exec(name)?.[2] === operation).sort();
    for (const name of own.slice(-readMax).reverse()) {
      const { at, passed } = JSON.parse(
        await readFile(join(this.#folder, name), "utf8"),
      ) as DrillCertificate;
      if (passed) return Date.parse(at);
    }
    return null;
  }
}
