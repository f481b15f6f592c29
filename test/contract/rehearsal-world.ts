import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { LegacyFileManager } from "../../src/files/legacy/legacy-file-manager.ts";
import {
  openUploadRehearsal,
  type RehearsalConnectOptions,
} from "../../src/files/rehearsal/open-rehearsal.ts";
import { scopeOf } from "../../src/files/rehearsal/scope-name.ts";
import type { UploadRehearsal } from "../../src/files/rehearsal/upload-rehearsal.ts";
import { StreamingFileManager } from "../../src/files/streaming/streaming-file-manager.ts";
import { FileWorld } from "./file-manager-world.ts";

/** Everything that is stored anywhere. */
export interface Inventory {
  /** Of files; whose they are is in `owners`. */
  readonly ids: readonly string[];
  readonly owners: readonly string[];
  readonly purposes: readonly string[];
  readonly keys: readonly string[];
  /** Both providers' files, requests and bytes, as they report them. */
  readonly providers: unknown;
}

/** Real backends, rehearsals on them, and a look at all that they hold. */
export class RehearsalWorld {
  readonly files: FileWorld;
  readonly #client: SupabaseClient;
  readonly #rehearsals: UploadRehearsal[] = [];

  private constructor(files: FileWorld) {
    this.files = files;
    const { url, secretKey } = files.sandbox.addresses.supabase;
    this.#client = createClient(url, secretKey, { auth: { persistSession: false } });
  }

  static async open(): Promise<RehearsalWorld> {
    return new RehearsalWorld(await FileWorld.open());
  }

  rehearsal(options: Partial<RehearsalConnectOptions> = {}): UploadRehearsal {
    const made = openUploadRehearsal({
      supabase: this.files.sandbox.addresses.supabase,
      legacy: (parts) => new LegacyFileManager(parts),
      candidate: (parts) => new StreamingFileManager(parts),
      ...{ providers: ["kimi", "glm"], clock: systemClock, logger: silentLogger },
      ...options,
    });
    this.#rehearsals.push(made);
    return made;
  }

  async inventory(): Promise<Inventory> {
    const { supabase, kimi, glm } = this.files.sandbox.addresses;
    const column = async (table: string, name: string): Promise<readonly string[]> => {
      const { data, error } = await this.#client.from(table).select(name).limit(10_000);
      if (error !== null) throw error;
      return (data as unknown as Record<string, string>[]).map((row) => row[name] ?? "").sort();
    };
    const report = async (adminUrl: string): Promise<unknown> => {
      const { files, requests, uploadBytes } = (await (
        await fetch(`${adminUrl}/report`)
      ).json()) as Record<string, unknown>;
      return { files, requests, uploadBytes };
    };
    const listed = await this.#client.storage.from(supabase.bucket).list("", { limit: 10_000 });
    if (listed.error !== null) throw listed.error;
    return {
      ids: await column("files", "id"),
      owners: await column("files", "owner"),
      purposes: await column("contents", "purpose"),
      keys: listed.data.map(({ name }) => name).sort(),
      providers: await Promise.all([report(kimi.adminUrl), report(glm.adminUrl)]),
    };
  }

  async removeObjects(keys: readonly string[]): Promise<void> {
    const { bucket } = this.files.sandbox.addresses.supabase;
    const { error } = await this.#client.storage.from(bucket).remove([...keys]);
    if (error !== null) throw error;
  }

  /** A process that rehearses up to a point and is then killed with -9. */
  async killInTheMiddle(until: "object" | "rows"): Promise<void> {
    const program = fileURLToPath(new URL("./fixtures/rehearsing-process.ts", import.meta.url));
    const child = fork(program, { execArgv: [] });
    try {
      const reached = once(child, "message");
      child.send({ supabase: this.files.sandbox.addresses.supabase, until });
      await reached;
    } finally {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#rehearsals.map((each) => each.close()));
    await this.files.close();
  }
}

/** The inventory without what belongs to rehearsals. */
export function visible({ owners, purposes, keys, ...rest }: Inventory): Inventory {
  const isVisible = (text: string): boolean => scopeOf(text) === null;
  return {
    ...rest,
    owners: owners.filter(isVisible),
    purposes: purposes.filter(isVisible),
    keys: keys.filter(isVisible),
  };
}

/** A clock that is so many milliseconds ahead. */
export function ahead(ms: number): Clock {
  return { ...systemClock, now: () => systemClock.now() + ms };
}
