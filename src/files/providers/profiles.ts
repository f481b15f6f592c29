import type { ProviderName } from "../file-manager.ts";

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** What a provider takes for one purpose. */
export interface PurposeLimits {
  /** The largest file, in bytes. */
  readonly maxBytes: number;
  /** The largest image, in bytes, where that differs. */
  readonly maxImageBytes?: number;
  /** Extensions in lower case without the dot; null for any. */
  readonly extensions: readonly string[] | null;
  /** Files a user may keep there; null where nothing is documented. */
  readonly maxFiles: number | null;
}

/** The limits of one provider, or of one of its sites. */
export interface ProviderProfile {
  readonly id: string;
  readonly provider: ProviderName;
  readonly acceptsEmpty: boolean;
  /** MIME types that are refused for every purpose, whatever the file's name says. */
  readonly blockedTypes: readonly string[];
  /** The purpose of an upload that names none. */
  readonly defaultPurpose: string;
  /** Files a user may keep there over all purposes; null where none is documented. */
  readonly maxFilesInAll: number | null;
  /** Bytes a user may keep there in all; null where nothing is documented. */
  readonly maxTotalBytes: number | null;
  readonly purposes: Readonly<Record<string, PurposeLimits>>;
}

const words = (text: string): readonly string[] => text.split(" ");

const imageExtensions = words(
  "jpeg jpg png bmp gif svg svgz webp ico xbm dib pjp tif pjpeg avif apng tiff jfif",
);
const jsonLines = ["jsonl"];

/**
 * Programs, installers and links to programs: nothing an AI provider could read, and nothing to pass
 * on under a document's name. As `mime.ts` calls what it finds in their bytes.
 */
const programTypes: readonly string[] = [
  "application/java-archive",
  "application/java-vm",
  "application/vnd.android.package-archive",
  "application/vnd.ms-cab-compressed",
  "application/wasm",
  "application/x-apple-diskimage",
  "application/x-deb",
  "application/x-elf",
  "application/x-mach-binary",
  "application/x-ms-regedit",
  "application/x-ms-shortcut",
  "application/x-msdownload",
  "application/x-rpm",
  "application/x-shockwave-flash",
  "application/x-xpinstall",
];

// jpg is not in the provider's list, but it is the same format as jpeg, which is.
const kimiDocuments = [
  ...words("pdf txt csv doc docx xls xlsx ppt pptx md dot epub html json mobi log go h c cpp cxx"),
  ...words("cc cs java js css jsp php py py3 asp yaml yml ini conf ts tsx"),
  ...imageExtensions,
];

/**
 * Kimi: 100 MB for a file, 1000 files and 10 GB for a user (platform.kimi.ai, "Files" and "Create
 * batch"). "MB" is read as MiB, the larger of the two: the provider has the last word between them.
 */
export const kimiProfile: ProviderProfile = {
  id: "kimi",
  provider: "kimi",
  acceptsEmpty: false,
  blockedTypes: programTypes,
  defaultPurpose: "file-extract",
  maxFilesInAll: 1000,
  maxTotalBytes: 10 * GiB,
  purposes: {
    "file-extract": { maxBytes: 100 * MiB, extensions: kimiDocuments, maxFiles: 1000 },
    image: { maxBytes: 100 * MiB, extensions: imageExtensions, maxFiles: 1000 },
    video: { maxBytes: 100 * MiB, extensions: null, maxFiles: 1000 },
    batch: { maxBytes: 100 * MiB, extensions: jsonLines, maxFiles: 1000 },
  },
};

const zaiAgent: PurposeLimits = {
  maxBytes: 100 * MiB,
  extensions: words("pdf doc xlsx ppt txt jpg png"),
  maxFiles: 100,
};

/** GLM at api.z.ai (docs.z.ai, "File upload"); `file` is the older name of `agent`. */
export const glmZaiProfile: ProviderProfile = {
  id: "glm-z.ai",
  provider: "glm",
  acceptsEmpty: false,
  blockedTypes: programTypes,
  defaultPurpose: "agent",
  maxFilesInAll: null,
  maxTotalBytes: null,
  purposes: {
    agent: zaiAgent,
    file: zaiAgent,
    batch: { maxBytes: 100 * MiB, extensions: jsonLines, maxFiles: 1000 },
  },
};

const bigmodelDocuments = words("pdf docx doc xls xlsx txt png jpg jpeg csv");

/** GLM at open.bigmodel.cn (docs.bigmodel.cn, "文件 API"): smaller files, more purposes. */
export const glmBigmodelProfile: ProviderProfile = {
  id: "glm-bigmodel",
  provider: "glm",
  acceptsEmpty: false,
  blockedTypes: programTypes,
  defaultPurpose: "agent",
  maxFilesInAll: null,
  maxTotalBytes: null,
  purposes: {
    agent: {
      maxBytes: 20 * MiB,
      maxImageBytes: 5 * MiB,
      extensions: bigmodelDocuments,
      maxFiles: 1000,
    },
    "code-interpreter": {
      maxBytes: 20 * MiB,
      maxImageBytes: 5 * MiB,
      extensions: bigmodelDocuments,
      maxFiles: 100,
    },
    "file-extract": {
      maxBytes: 50 * MiB,
      maxImageBytes: 5 * MiB,
      extensions: words("pdf docx doc xls xlsx ppt pptx png jpg jpeg csv"),
      maxFiles: 100,
    },
    batch: { maxBytes: 100 * MiB, extensions: jsonLines, maxFiles: 1000 },
    // No size is documented for voices; 100 MB is where the service answers 435 for any file.
    "voice-clone-input": { maxBytes: 100 * MiB, extensions: ["mp3", "wav"], maxFiles: null },
  },
};

const anything: PurposeLimits = { maxBytes: 5 * GiB, extensions: null, maxFiles: null };

/**
 * Our own storage alone: up to 5 GiB (what one object may have), any type, empty files too. The
 * purposes are those of the OpenAI files API, and two that the AI providers add.
 */
export const noneProfile: ProviderProfile = {
  id: "none",
  provider: "none",
  acceptsEmpty: true,
  blockedTypes: [],
  defaultPurpose: "user_data",
  maxFilesInAll: null,
  maxTotalBytes: null,
  purposes: {
    assistants: anything,
    batch: anything,
    "fine-tune": anything,
    vision: anything,
    user_data: anything,
    evals: anything,
    "file-extract": anything,
    agent: anything,
  },
};

/** Every profile there is. */
export const profiles: readonly ProviderProfile[] = [
  kimiProfile,
  glmZaiProfile,
  glmBigmodelProfile,
  noneProfile,
];
