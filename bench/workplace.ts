import { access, statfs } from "node:fs/promises";
import { availableParallelism, freemem } from "node:os";
import { delimiter, join } from "node:path";
import type { Clock } from "../src/base/clock.ts";
import type { SupabaseAccess } from "../src/files/storage/supabase-connection.ts";
import { runInChild } from "../src/harness/child.ts";
import { ChildLog } from "../src/sandbox/child/child-log.ts";
import { BackendProcess } from "../src/sandbox/child/child-process.ts";
import { type Sandbox, startSandbox } from "../src/sandbox/sandbox.ts";
import type { CaseContext, CaseNeeds, Tier } from "./case.ts";
import type { NetworkName } from "./network/profiles.ts";
import { type ProxyProcess, startProxy } from "./network/proxied.ts";
import type { SinkReady } from "./servers/sink.ts";
import { openStoreFolder, type StoreFolder } from "./servers/store-folder.ts";

/** How a run is made. */
export interface WorkplaceOptions {
  readonly tier: Tier;
  readonly seed: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly update: (text: string) => void;
}

/** What the cases of one run share, and what must be gone after it. */
export class Workplace {
  readonly #options: WorkplaceOptions;
  readonly #folder: string;
  readonly #closers: (() => Promise<unknown>)[] = [];
  readonly #proxies = new Map<NetworkName, Promise<ProxyProcess>>();
  #storeFolder: Promise<StoreFolder> | undefined;
  #sandbox: Promise<Sandbox> | undefined;
  #sink: Promise<SinkReady> | undefined;

  constructor(options: WorkplaceOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
  }

  context(): CaseContext {
    const { tier, seed, clock, signal, update } = this.#options;
    return {
      quick: tier === "quick",
      tier,
      seed,
      clock,
      signal,
      folder: this.#folder,
      progress: update,
      runChild: (job) => runInChild({ ...job, clock, signal, onProgress: update }),
      sandbox: (network = "loopback") => this.#access(network),
      storesInMemory: async () => (await this.#store()).isMemory,
      sink: () => {
        signal.throwIfAborted();
        this.#sink ??= this.#startSink();
        return this.#sink;
      },
    };
  }

  /** Why the machine is too small for a case; null when it is not. */
  async shortOf(needs: CaseNeeds): Promise<string | null> {
    const { memoryBytes = 0, diskBytes = 0, cores = 0, program } = needs;
    const short = (what: string, has: number, wants: number): string =>
      `needs ${(wants / 1e9).toFixed(1)} GB of ${what}, ${(has / 1e9).toFixed(1)} GB are free`;
    if (availableParallelism() < cores) {
      return `needs ${cores} cores, there are ${availableParallelism()}`;
    }
    if (freemem() < memoryBytes) return short("memory", freemem(), memoryBytes);
    const { bavail, bsize } = await statfs(this.#folder);
    if (bavail * bsize < diskBytes) return short("disk", bavail * bsize, diskBytes);
    if (program !== undefined && !(await isInstalled(program))) {
      return `needs the program ${program}, which is not installed`;
    }
    return null;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.toReversed()) await close().catch(() => undefined);
  }

  async #access(network: NetworkName): Promise<SupabaseAccess> {
    const { clock, signal } = this.#options;
    signal.throwIfAborted();
    if (this.#sandbox === undefined) {
      this.#sandbox = this.#store().then(({ path }) => startSandbox({ dataDir: path, clock }));
      this.#closers.push(async () => (await this.#sandbox)?.close());
    }
    const { supabase } = (await this.#sandbox).addresses;
    if (network === "loopback") return supabase;
    let proxy = this.#proxies.get(network);
    if (proxy === undefined) {
      const { hostname, port } = new URL(supabase.url);
      const target = { host: hostname, port: Number(port) };
      const started = startProxy(network, target, { clock, folder: this.#folder });
      this.#closers.push(async () => (await started).close());
      this.#proxies.set(network, started);
      proxy = started;
    }
    return { ...supabase, url: `http://127.0.0.1:${(await proxy).port}` };
  }

  #store(): Promise<StoreFolder> {
    if (this.#storeFolder === undefined) {
      this.#storeFolder = openStoreFolder(this.#folder);
      this.#closers.push(async () => (await this.#storeFolder)?.remove());
    }
    return this.#storeFolder;
  }

  async #startSink(): Promise<SinkReady> {
    const { process, ready } = await BackendProcess.start<Record<string, never>, SinkReady>({
      name: "sink",
      program: new URL("./servers/sink.ts", import.meta.url),
      settings: {},
      log: new ChildLog({ file: join(this.#folder, "sink.log") }),
      clock: this.#options.clock,
      startTimeoutMs: 15_000,
    });
    this.#closers.push(() => process.stop());
    return ready;
  }
}

async function isInstalled(program: string): Promise<boolean> {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const found = await Promise.all(
    folders.map((folder) =>
      access(join(folder, program)).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}
