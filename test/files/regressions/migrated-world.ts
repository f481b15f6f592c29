import { randomUUID } from "node:crypto";
import { type Changeover, createChangeover } from "../../../src/changeover.ts";
import type {
  FileManager,
  FileSource,
  ProviderName,
  UploadRequest,
} from "../../../src/files/file-manager.ts";
import type { MigratedFiles } from "../../../src/files/file-service.ts";
import { migrateFiles } from "../../../src/files/operations.ts";
import type { Answered, CallOptions, Path } from "../../../src/migration/call.ts";
import { manualFlags } from "../../../src/testing.ts";
import { FileWorld } from "../../contract/file-manager-world.ts";

const names = ["upload", "download", "info", "list", "delete"].map((name) => `files.${name}`);
const purposes: Readonly<Record<ProviderName, string>> = {
  none: "user-data",
  kimi: "file-extract",
  glm: "agent",
};

/** The migrated file system, as an application calls it. */
interface Migrated {
  readonly files: MigratedFiles;
  readonly changeover: Changeover;
}

/** Real backends, and the migrated file system on them with every call on one path. */
export class MigratedWorld {
  readonly backends: FileWorld;
  readonly #open: { close(): Promise<unknown> }[] = [];

  private constructor(backends: FileWorld) {
    this.backends = backends;
  }

  static async open(): Promise<MigratedWorld> {
    return new MigratedWorld(await FileWorld.open());
  }

  /** Both file managers on the real backends, behind a facade that sends every call to `path`. */
  migrated(path: Path): Promise<Migrated> {
    return this.migratedOf(path, this.backends.legacy(), this.backends.streaming());
  }

  /** The same with other file managers; they are closed in the end. */
  async migratedOf(path: Path, legacy: FileManager, candidate: FileManager): Promise<Migrated> {
    const flags = manualFlags(...names);
    const changeover = await createChangeover({ flags });
    this.#open.push(changeover, legacy, candidate);
    const migrate: Changeover["migrate"] = (definition) => changeover.migrate(definition);
    const files = migrateFiles({ migrate, legacy, candidate });
    for (const name of names) await flags.force(name, path);
    return { files, changeover };
  }

  async close(): Promise<void> {
    for (const each of this.#open) await each.close();
    await this.backends.close();
  }
}

/** A new owner's upload of these bytes. */
export function requestOf(source: FileSource, more: Partial<UploadRequest> = {}): UploadRequest {
  return {
    owner: randomUUID(),
    name: "a.pdf",
    purpose: purposes[more.provider ?? "none"],
    provider: "none",
    mimeType: "application/pdf",
    source,
    metadata: {},
    ...more,
  };
}

/** Call options that note who answered. */
export function noting(answers: Answered[]): CallOptions {
  return { key: "anna", onAnswer: (answered) => void answers.push(answered) };
}
