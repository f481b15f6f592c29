import { createCipheriv, createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { systemClock } from "../../src/base/clock.ts";
import type { LogFields, Logger } from "../../src/base/logger.ts";
import { ContentLock } from "../../src/files/content-lock.ts";
import type { FileManager, ProviderName } from "../../src/files/file-manager.ts";
import { openLegacyFileManager } from "../../src/files/legacy/legacy-file-manager.ts";
import { createProvider } from "../../src/files/providers/create-provider.ts";
import type { Provider } from "../../src/files/providers/provider.ts";
import { openStreamingFileManager } from "../../src/files/streaming/streaming-file-manager.ts";
import type { Call } from "../../src/migration/call.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";

/** What a stand-in tells about one file it has. */
export interface ArrivedFile {
  readonly id: string;
  readonly fileName: string;
  readonly bytes: number;
  readonly sha256: string;
}

interface StandInFiles {
  readonly files: readonly ArrivedFile[];
  readonly requests: Readonly<Record<string, number>>;
}

type AiProvider = Exclude<ProviderName, "none">;

/** Real backends on loopback, file managers on them, and ways to look behind both. */
export class FileWorld {
  readonly sandbox: Sandbox;
  /** Every line the managers logged at `error`. */
  readonly complaints: LogFields[] = [];
  readonly lock: ContentLock = new ContentLock();
  readonly #folder: string;
  readonly #client: SupabaseClient;
  readonly #managers: FileManager[] = [];

  private constructor(sandbox: Sandbox, folder: string) {
    this.sandbox = sandbox;
    this.#folder = folder;
    const { url, secretKey } = sandbox.addresses.supabase;
    this.#client = createClient(url, secretKey, { auth: { persistSession: false } });
  }

  static async open(): Promise<FileWorld> {
    const folder = await mkdtemp(join(tmpdir(), "changeover-files-"));
    return new FileWorld(await startSandbox({ dataDir: folder }), folder);
  }

  legacy(lock: ContentLock = this.lock): FileManager {
    return this.#keep(openLegacyFileManager(this.#parts("buffered", lock)));
  }

  streaming(lock: ContentLock = this.lock): FileManager {
    return this.#keep(openStreamingFileManager(this.#parts("streaming", lock)));
  }

  /** Rows of `contents` with this hash. */
  async contents(sha256: string): Promise<readonly Record<string, unknown>[]> {
    const { data, error } = await this.#client.from("contents").select("*").eq("sha256", sha256);
    if (error !== null) throw error;
    return data;
  }

  /** Rows of `files` of this owner. */
  async files(owner: string): Promise<readonly Record<string, unknown>[]> {
    const { data, error } = await this.#client.from("files").select("*").eq("owner", owner);
    if (error !== null) throw error;
    return data;
  }

  /** Keys of the objects that hold these bytes. */
  async objects(sha256: string): Promise<readonly string[]> {
    const { bucket } = this.sandbox.addresses.supabase;
    const { data, error } = await this.#client.storage.from(bucket).list("", { limit: 10_000 });
    if (error !== null) throw error;
    return data.map((each) => each.name).filter((name) => name.includes(sha256));
  }

  /** Removes an object behind everybody's back. */
  async loseObject(key: string): Promise<void> {
    const { bucket } = this.sandbox.addresses.supabase;
    const { error } = await this.#client.storage.from(bucket).remove([key]);
    if (error !== null) throw error;
  }

  /** Files at a provider that hold these bytes. */
  async arrived(provider: AiProvider, sha256: string): Promise<readonly ArrivedFile[]> {
    const { files } = await this.#report(provider);
    return files.filter((each) => each.sha256 === sha256);
  }

  /** Upload requests that a provider has seen. */
  async uploadRequests(provider: AiProvider): Promise<number> {
    return (await this.#report(provider)).requests["upload"] ?? 0;
  }

  /** Sets faults at a provider (see the stand-ins), or clears them with null. */
  async fault(provider: AiProvider, plan: Readonly<Record<string, unknown>> | null): Promise<void> {
    const { adminUrl } = this.sandbox.addresses[provider];
    const reply = await fetch(`${adminUrl}/faults`, {
      method: plan === null ? "DELETE" : "PUT",
      headers: { "content-type": "application/json" },
      body: plan === null ? null : JSON.stringify(plan),
    });
    if (!reply.ok) throw new Error(await reply.text());
  }

  async close(): Promise<void> {
    await Promise.all(this.#managers.map((manager) => manager.close()));
    await this.sandbox.close();
    await rm(this.#folder, { recursive: true });
  }

  #keep(manager: FileManager): FileManager {
    this.#managers.push(manager);
    return manager;
  }

  #parts(
    transport: "buffered" | "streaming",
    lock: ContentLock,
  ): Parameters<typeof openLegacyFileManager>[0] {
    const { supabase, kimi, glm } = this.sandbox.addresses;
    const provider = (name: AiProvider, at: typeof kimi): Provider =>
      createProvider({ name, baseUrl: at.baseUrl, apiKey: at.apiKey, transport });
    return {
      supabase,
      lock,
      clock: systemClock,
      logger: this.#logger(),
      providers: [provider("kimi", kimi), provider("glm", glm)],
    };
  }

  #logger(): Logger {
    const quiet = (): void => undefined;
    const keep = (fields: LogFields): void => void this.complaints.push(fields);
    return { debug: quiet, info: quiet, warn: quiet, error: keep };
  }

  async #report(provider: AiProvider): Promise<StandInFiles> {
    const { adminUrl } = this.sandbox.addresses[provider];
    const reply = await fetch(`${adminUrl}/report`);
    return (await reply.json()) as StandInFiles;
  }
}

/** The same bytes for the same seed, and no two seeds alike. */
export function seededBytes(seed: string, sizeBytes: number): Buffer {
  const key = createHash("sha256").update(seed).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A call as the facade would make it. */
export function callOf(options: Partial<Call> = {}): Call {
  return {
    operation: "files.test",
    path: "candidate",
    source: "served",
    key: "test",
    requestId: "test",
    signal: new AbortController().signal,
    ...options,
  };
}

export async function readAll(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Asks again until the answer is true; fails after 10 s. */
export async function eventually(what: string, ask: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    if (await ask()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`It did not come about that ${what}.`);
}
