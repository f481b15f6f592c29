import { randomUUID } from "node:crypto";
import type { LogFields, Logger } from "../base/logger.ts";
import type { Answered, CallOptions } from "../migration/call.ts";
import type { MigratedFunction } from "../migration/operation.ts";
import { blockedType, notFound, tooLarge, unknownProvider } from "./errors.ts";
import type {
  DeletedFile,
  Download,
  DownloadRequest,
  FilePage,
  FileRequest,
  FileSource,
  ListRequest,
  OnDuplicate,
  Progress,
  ProviderName,
  StoredFile,
  UploadRequest,
} from "./file-manager.ts";
import { autoProvider, providerNames } from "./file-manager.ts";
import { normalFileName } from "./file-name.ts";
import { matchesType, mimeTypeOf } from "./mime.ts";
import type { ProviderProfile } from "./providers/profiles.ts";
import { checkUpload } from "./providers/upload-check.ts";
import type { ProviderSelector } from "./selection/provider-selector.ts";
import type { SelectionReason } from "./selection/selection.ts";

/** The five operations of the file system, each behind the facade. */
export interface MigratedFiles {
  readonly upload: MigratedFunction<UploadRequest, StoredFile>;
  readonly download: MigratedFunction<DownloadRequest, Download>;
  readonly info: MigratedFunction<FileRequest, StoredFile>;
  readonly list: MigratedFunction<ListRequest, FilePage>;
  readonly delete: MigratedFunction<FileRequest, DeletedFile>;
}

/** What a person or a program says about an upload; everything but the bytes may be left out. */
export interface UploadInput {
  readonly owner: string;
  readonly name: string;
  /** Default: the provider's own default purpose. */
  readonly purpose?: string;
  /** `kimi`, `glm`, `none`, or `auto` to have one chosen. Default: `none`. */
  readonly provider?: string;
  /** What will be asked about the file; only `auto` looks at it. */
  readonly question?: string;
  /** Default: found from content and name. */
  readonly mimeType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly source: FileSource;
  readonly progress?: Progress;
  /** See {@link UploadRequest}. */
  readonly keepPartial?: boolean;
  readonly onDuplicate?: OnDuplicate;
}

/** An answer together with who gave it. */
export interface Answer<T> {
  readonly value: T;
  readonly answered: Answered;
}

/** Which provider was chosen for an upload to `auto`, and why: one sentence for each step. */
export interface ProviderChoice {
  readonly provider: ProviderName;
  readonly reasons: readonly string[];
}

/** The answer to an upload. */
export interface UploadAnswer extends Answer<StoredFile> {
  /** Null where the caller named the provider. */
  readonly choice: ProviderChoice | null;
}

/** What an upload would be. */
export interface UploadPlan {
  readonly request: UploadRequest;
  /** Null where the caller named the provider. */
  readonly choice: ProviderChoice | null;
}

/**
 * The door of the file system, for the gateway and for the command line: checks names, purposes, types
 * and limits before any path sees the call, then sends it through the facade. Throws coded errors only;
 * an error carries `answered` facts under the same request id in the log.
 */
export interface FileService {
  /** Checks an upload and chooses its provider as `upload` does, and sends nothing. */
  plan(input: UploadInput, options?: CallOptions): Promise<UploadPlan>;
  upload(input: UploadInput, options?: CallOptions): Promise<UploadAnswer>;
  download(request: DownloadRequest, options?: CallOptions): Promise<Answer<Download>>;
  info(request: FileRequest, options?: CallOptions): Promise<Answer<StoredFile>>;
  list(request: ListRequest, options?: CallOptions): Promise<Answer<FilePage>>;
  delete(request: FileRequest, options?: CallOptions): Promise<Answer<DeletedFile>>;
}

/** What the service checks against. */
export interface FileServiceOptions {
  readonly files: MigratedFiles;
  /** The limits of every provider that is set up, `none` among them. */
  readonly profiles: readonly ProviderProfile[];
  /** Largest file in bytes, whatever its provider would take. */
  readonly maxFileBytes: number;
  /** MIME types that nobody may store, such as `application/x-msdownload` or `video/*`; default: none. */
  readonly blockedTypes?: readonly string[];
  /** Chooses for uploads to `auto`; without one they are refused. */
  readonly selector?: Pick<ProviderSelector, "choose"> | null;
  /** Told which provider was chosen, by rules and never by names; default: nobody is. */
  readonly logger?: Pick<Logger, "info">;
}

// Ids are made by us as UUIDs; anything else cannot exist and is not worth a round trip.
const idPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Puts the checks in front of the migrated operations. */
export function createFileService(options: FileServiceOptions): FileService {
  const { files } = options;
  const planned = async (input: UploadInput, callOptions: CallOptions | undefined) => {
    const { input: settled, choice, call } = await withProvider(input, options, callOptions);
    return { request: await checkedUpload(settled, options), choice, call };
  };
  return {
    plan: planned,
    async upload(input, callOptions) {
      const { request, choice, call: told } = await planned(input, callOptions);
      return { ...(await answer(told, (call) => files.upload(request, call))), choice };
    },
    download: async (request, callOptions) => {
      checkId(request.id);
      return answer(callOptions, (call) => files.download(request, call));
    },
    info: async (request, callOptions) => {
      checkId(request.id);
      return answer(callOptions, (call) => files.info(request, call));
    },
    list: async (request, callOptions) => {
      if (request.after !== undefined) checkId(request.after);
      return answer(callOptions, (call) => files.list(request, call));
    },
    delete: async (request, callOptions) => {
      checkId(request.id);
      return answer(callOptions, (call) => files.delete(request, call));
    },
  };
}

function checkId(id: string): void {
  if (!idPattern.test(id)) throw notFound(id.slice(0, 80));
}

interface SettledUpload {
  readonly input: UploadInput;
  readonly choice: ProviderChoice | null;
  readonly call: CallOptions | undefined;
}

/**
 * Chooses a provider where that was left to us: before the facade, so that both paths, a fallback and a
 * shadow all go to the same one.
 */
async function withProvider(
  input: UploadInput,
  options: FileServiceOptions,
  call: CallOptions | undefined,
): Promise<SettledUpload> {
  const { selector = null } = options;
  if (input.provider !== autoProvider || selector === null) return { input, choice: null, call };
  const { source, purpose, question } = input;
  const name = normalFileName(input.name);
  checkSize(name, source.sizeBytes, options.maxFileBytes);
  const mimeType = input.mimeType ?? (await mimeTypeOf(source, name));
  const requestId = call?.requestId ?? randomUUID();
  const selected = await selector.choose(
    {
      name,
      mimeType,
      sizeBytes: source.sizeBytes,
      ...(purpose === undefined ? {} : { purpose }),
      ...(question === undefined ? {} : { question }),
    },
    call?.signal ?? new AbortController().signal,
  );
  const { choice: provider, reasons } = selected;
  options.logger?.info(
    { ...choiceFields(reasons), requestId, provider, sizeBytes: source.sizeBytes },
    "A provider was chosen for an upload",
  );
  return {
    input: {
      ...input,
      provider,
      mimeType,
      ...(selected.purpose === null ? {} : { purpose: selected.purpose }),
    },
    choice: { provider, reasons: reasons.map((each) => `${each.provider} ${each.text}`) },
    call: { ...call, requestId },
  };
}

/** Rules and results; the sentences name files. */
function choiceFields(reasons: readonly SelectionReason[]): LogFields {
  return { reasons: reasons.map(({ provider, rule, result }) => `${provider}: ${rule} ${result}`) };
}

function checkSize(name: string, sizeBytes: number, maxFileBytes: number): void {
  if (sizeBytes <= maxFileBytes) return;
  throw tooLarge({
    what: `The file ${JSON.stringify(name)}`,
    whose: "this service (CHANGEOVER_MAX_FILE_BYTES)",
    limitBytes: maxFileBytes,
    sizeBytes,
  });
}

async function checkedUpload(
  input: UploadInput,
  { profiles, maxFileBytes, blockedTypes = [], selector = null }: FileServiceOptions,
): Promise<UploadRequest> {
  const { owner, source, metadata = {}, progress, keepPartial, onDuplicate } = input;
  const name = normalFileName(input.name);
  const profile = profileOf(input.provider ?? "none", profiles, selector !== null);
  const purpose = input.purpose ?? profile.defaultPurpose;
  const { sizeBytes } = source;
  checkSize(name, sizeBytes, maxFileBytes);
  const mimeType = input.mimeType ?? (await mimeTypeOf(source, name));
  if (matchesType(mimeType, blockedTypes)) {
    throw blockedType(name, mimeType, "this service (CHANGEOVER_BLOCKED_TYPES)");
  }
  const { provider } = profile;
  checkUpload(profile, { provider, purpose, name, mimeType, sizeBytes });
  return {
    owner,
    name,
    purpose,
    provider,
    mimeType,
    source,
    metadata,
    ...(progress === undefined ? {} : { progress }),
    ...(keepPartial === undefined ? {} : { keepPartial }),
    ...(onDuplicate === undefined ? {} : { onDuplicate }),
  };
}

function profileOf(
  provider: string,
  profiles: readonly ProviderProfile[],
  choosesItself: boolean,
): ProviderProfile {
  const profile = profiles.find((each) => each.provider === provider);
  if (profile !== undefined) return profile;
  const known = providerNames.filter((name) => profiles.some((each) => each.provider === name));
  throw unknownProvider(provider, choosesItself ? [...known, autoProvider] : known);
}

/** Makes the call and keeps who answered it. */
async function answer<T>(
  options: CallOptions | undefined,
  call: (options: CallOptions) => Promise<T>,
): Promise<Answer<T>> {
  let answered: Answered | undefined;
  const value = await call({
    ...options,
    onAnswer: (told) => {
      answered = told;
      options?.onAnswer?.(told);
    },
  });
  if (answered === undefined) throw new Error("The facade answered a call without saying who did.");
  return { value, answered };
}
