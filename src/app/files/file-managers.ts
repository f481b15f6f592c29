import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Resources } from "../../base/resources.ts";
import type { Catalog } from "../../files/catalog/catalog.ts";
import { ContentLock } from "../../files/content-lock.ts";
import type { FileManager } from "../../files/file-manager.ts";
import {
  LegacyFileManager,
  openLegacyFileManager,
} from "../../files/legacy/legacy-file-manager.ts";
import { createProvider } from "../../files/providers/create-provider.ts";
import {
  glmBigmodelProfile,
  glmZaiProfile,
  kimiProfile,
  noneProfile,
  type ProviderProfile,
} from "../../files/providers/profiles.ts";
import type { Provider } from "../../files/providers/provider.ts";
import { createSteadyProvider } from "../../files/providers/steady/create-steady-provider.ts";
import { knownFilesIn } from "../../files/providers/steady/known-files.ts";
import type { SteadyProvider } from "../../files/providers/steady/steady-provider.ts";
import { openUploadRehearsal } from "../../files/rehearsal/open-rehearsal.ts";
import type { UploadRehearsal } from "../../files/rehearsal/upload-rehearsal.ts";
import { UploadCounts } from "../../files/saga/upload-counts.ts";
import {
  openCatalog,
  openStreamingFileManager,
  StreamingFileManager,
} from "../../files/streaming/streaming-file-manager.ts";
import type { Path } from "../../migration/call.ts";
import { type Backend, noFileManager } from "../backend.ts";
import type { Config } from "../config.ts";

/** What the file managers of both paths are opened with. */
export interface FileManagersOptions {
  readonly config: Config;
  /** Null for commands that touch flags and latches only: file calls are then refused. */
  readonly backend: Backend | null;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Closes what is opened here. */
  readonly resources: Resources;
}

/** The file managers of both paths, and what others read of them. */
export interface FileManagers {
  readonly profiles: readonly ProviderProfile[];
  readonly legacy: FileManager;
  readonly candidate: FileManager;
  /** The candidate's providers. */
  readonly steady: readonly SteadyProvider[];
  /** Null without a backend. */
  readonly rehearsal: UploadRehearsal | null;
  readonly uploads: Readonly<Record<Path, UploadCounts>>;
  readonly streaming: StreamingFileManager | null;
}

/** Opens the file managers of both paths against one backend. */
export function openFileManagers(options: FileManagersOptions): FileManagers {
  const { config, logger, backend, clock, resources } = options;
  const uploads = { legacy: new UploadCounts(), candidate: new UploadCounts() };
  if (backend === null) {
    const none = noFileManager();
    const nothing = { steady: [], rehearsal: null, streaming: null };
    return { profiles: [noneProfile], legacy: none, candidate: none, ...nothing, uploads };
  }
  const { supabase } = backend;
  const lock = new ContentLock();
  const common = { supabase, lock, clock, logger };
  const concurrency = config.uploadConcurrency;
  const legacy = openLegacyFileManager({
    ...common,
    counts: uploads.legacy,
    providers: bufferedProviders(backend, clock),
  });
  resources.add("legacy", () => legacy.close());
  const profiles = profilesOf(backend);
  // Both rows of an upload are written at once.
  const catalog = openCatalog(supabase, { clock, connections: concurrency * 2 });
  const steady = steadyProviders(backend, options, profiles, catalog);
  const candidate = openStreamingFileManager({
    ...common,
    catalog,
    counts: uploads.candidate,
    uploads: concurrency,
    providers: steady,
    storage: { writeConnections: concurrency * 2 },
    resumable: {
      folder: join(config.dataDir, "partial-uploads"),
      fromBytes: config.resumableFromBytes,
      connections: concurrency,
    },
  });
  resources.add("streaming", () => candidate.close());
  for (const provider of steady) provider.watch();
  const rehearsal = openUploadRehearsal({
    ...{ supabase, clock, logger },
    legacy: (stage) => new LegacyFileManager(stage),
    candidate: (stage) => new StreamingFileManager(stage),
    providers: (["kimi", "glm"] as const).filter((name) => backend[name] !== null),
  });
  resources.add("rehearsal", () => rehearsal.close(), 2000);
  return { profiles, legacy, candidate, steady, rehearsal, uploads, streaming: candidate };
}

/** The legacy path calls providers as it always did: one attempt, no limits of ours. */
function bufferedProviders({ kimi, glm }: Backend, clock: Clock): Provider[] {
  const open = { transport: "buffered", clock } as const;
  return [
    ...(kimi === null ? [] : [createProvider({ name: "kimi", ...kimi, ...open })]),
    ...(glm === null ? [] : [createProvider({ name: "glm", ...glm, ...open })]),
  ];
}

function steadyProviders(
  backend: Backend,
  { config, logger, clock }: FileManagersOptions,
  profiles: readonly ProviderProfile[],
  catalog: Catalog,
): SteadyProvider[] {
  const { uploadConcurrency, providerRequestsPerSecond, providerBytesPerSecond } = config;
  const limits = {
    uploads: uploadConcurrency,
    ...(providerRequestsPerSecond === null ? {} : { requestsPerSecond: providerRequestsPerSecond }),
  };
  return (["kimi", "glm"] as const).flatMap((name) => {
    const access = backend[name];
    const profile = profiles.find(({ provider }) => provider === name);
    if (access === null || profile === undefined) return [];
    return createSteadyProvider({
      ...access,
      name,
      profile,
      limits,
      known: knownFilesIn(catalog, name),
      clock,
      logger,
      ...(providerBytesPerSecond === null ? {} : { bytesPerSecond: providerBytesPerSecond }),
    });
  });
}

/** GLM's two sites have different limits; the address says which one it is. */
export function profilesOf({ kimi, glm }: Backend): readonly ProviderProfile[] {
  const glmProfile = glm?.baseUrl.includes("bigmodel") ? glmBigmodelProfile : glmZaiProfile;
  return [
    noneProfile,
    ...(kimi === null ? [] : [kimiProfile]),
    ...(glm === null ? [] : [glmProfile]),
  ];
}
