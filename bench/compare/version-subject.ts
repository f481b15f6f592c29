import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type Injection, loadPutModules, streamingPut } from "../subjects/streaming-put.ts";

/** What two versions are compared in. */
export type VersionWork = "upload" | "hash" | "facade";

/** One version of the product, doing one kind of work. */
export interface VersionSubject {
  readonly run: () => Promise<unknown>;
  readonly close: () => Promise<void>;
}

/** What the work is done with. */
export interface VersionTools {
  readonly url: string;
  readonly rawPort: number;
  readonly path: string;
}

const FACADE_CALLS = 2000;

/** Opens the work of the version at `root`, made worse where `inject` says so. */
export async function openVersion(
  work: VersionWork,
  root: URL,
  { url, rawPort, path }: VersionTools,
  inject: Injection = {},
): Promise<VersionSubject> {
  if (work === "facade") return facade(root);
  const modules = await loadPutModules(root);
  if (work === "hash") return hash(modules, path, inject.slower ?? 0);
  const digest = createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
  const subject = streamingPut(
    modules,
    work,
    false,
    inject,
  )({
    url,
    rawPort,
    bucket: "bench",
    secretKey: "sb_secret_bench",
    sha256: () => digest,
  });
  return { run: () => subject.send(path), close: subject.close };
}

/** The bytes of an upload, read and hashed, but not sent: work that no network makes noisy. */
async function hash(
  modules: Awaited<ReturnType<typeof loadPutModules>>,
  path: string,
  slower: number,
): Promise<VersionSubject> {
  const clock = modules.clock.systemClock;
  const sha256 = createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
  return {
    run: async () => {
      const startedMs = clock.monotonicMs();
      const source = await modules.source.fileSource(path);
      const known = { sha256, isTrusted: false };
      const outgoing = new modules.outgoing.OutgoingBytes(source, known, { withMd5: false });
      let bytes = 0;
      for await (const chunk of outgoing.chunks()) bytes += chunk.length;
      const endMs = clock.monotonicMs() + (clock.monotonicMs() - startedMs) * slower;
      while (clock.monotonicMs() < endMs);
      return bytes;
    },
    close: async () => undefined,
  };
}

async function facade(root: URL): Promise<VersionSubject> {
  const load = async <T>(path: string): Promise<T> => (await import(new URL(path, root).href)) as T;
  const { createChangeover } =
    await load<Pick<typeof import("../../src/changeover.ts"), "createChangeover">>(
      "src/changeover.ts",
    );
  const { staticFlags } = await load<
    Pick<typeof import("../../src/flags/static-flags.ts"), "staticFlags">
  >("src/flags/static-flags.ts");
  const name = "bench.call";
  const changeover = await createChangeover({ flags: staticFlags({ [name]: 100 }) });
  const call = changeover.migrate<number, number>({
    name,
    kind: "read",
    legacy: async (input) => input + 1,
    candidate: async (input) => input + 1,
  });
  const options = { key: "user-4711" };
  return {
    run: async () => {
      for (let index = 0; index < FACADE_CALLS; index += 1) await call(index, options);
    },
    close: () => changeover.close(),
  };
}
