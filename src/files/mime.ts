import { fileTypeFromBuffer } from "file-type";
import mime from "mime";
import type { FileSource } from "./file-manager.ts";
import { extensionOf } from "./file-name.ts";

/** The type of bytes that nothing is known about. */
const UNKNOWN_MIME_TYPE = "application/octet-stream";

/** How much of a file's start is looked at, in bytes: enough to see past the first entries of a zip. */
const SAMPLE_BYTES = 64 * 1024;

/** What was found out about a file, to choose its type from. */
interface MimeEvidence {
  /** The type its first bytes prove, or null. */
  readonly byContent: string | null;
  /** The type its extension stands for, or null. */
  readonly byExtension: string | null;
  /** Its first bytes are UTF-8 text; an empty file counts as text. */
  readonly isText: boolean;
  readonly isEmpty: boolean;
}

/**
 * The MIME type of a file, from its first 64 KiB and its extension; what its sender claims is not
 * asked. `application/octet-stream` when neither tells. Throws the source's own coded errors.
 */
export async function mimeTypeOf(source: FileSource, name: string): Promise<string> {
  const sample = await firstBytes(source);
  const detected = sample.length === 0 ? undefined : await fileTypeFromBuffer(sample);
  return chooseMimeType({
    byContent: detected?.mime ?? null,
    byExtension: typeOfExtension(extensionOf(name)),
    isText: isUtf8Text(sample, sample.length < source.sizeBytes),
    isEmpty: sample.length === 0,
  });
}

/** Does the type match one of these, such as `application/zip` or `video/*`? Pure. */
export function matchesType(mimeType: string, types: readonly string[]): boolean {
  const [family = ""] = mimeType.split("/");
  return types.some((type) => type === mimeType || type === `${family}/*`);
}

interface Choice {
  readonly when: (evidence: MimeEvidence) => boolean;
  readonly type: (evidence: MimeEvidence) => string | null;
}

/** First match wins: content beats extension, but where content only shows a container. */
const choices: readonly Choice[] = [
  { when: (e) => e.isEmpty, type: (e) => e.byExtension },
  {
    when: (e) => e.byContent !== null && isInside(e.byContent, e.byExtension),
    type: (e) => e.byExtension,
  },
  {
    when: (e) => e.byContent !== null && !(e.isText && lettersOnly.includes(e.byContent)),
    type: (e) => e.byContent,
  },
  { when: (e) => e.isText && isTextType(e.byExtension), type: (e) => e.byExtension },
  { when: (e) => e.isText, type: () => "text/plain" },
  // Bytes that are no text are not served as text, whatever the file calls itself.
  { when: (e) => isTextType(e.byExtension), type: () => null },
  { when: () => true, type: (e) => e.byExtension },
];

/** Chooses a type from what is known. Pure. */
function chooseMimeType(evidence: MimeEvidence): string {
  const choice = choices.find((each) => each.when(evidence));
  return choice?.type(evidence) ?? UNKNOWN_MIME_TYPE;
}

/** Binary formats whose signature is a few letters: a text may begin with them, as in "BMW" or "MZ-80". */
const lettersOnly: readonly string[] = [
  "application/x-msdownload",
  "application/x-bzip2",
  "application/x-shockwave-flash",
  "audio/mpeg",
  "image/bmp",
  "video/x-flv",
];

/** Formats that are kept inside a more general one whose signature is all that the content shows. */
const containers: Readonly<Record<string, RegExp>> = {
  "application/zip":
    /^application\/(vnd\.openxmlformats-|vnd\.oasis\.|vnd\.ms-|epub\+zip|java-archive|vnd\.android)/,
  "application/x-cfb": /^application\/(msword|vnd\.ms-|vnd\.visio|x-msi)/,
  "application/xml": /(\/|\+)xml$/,
};

function isInside(byContent: string, byExtension: string | null): boolean {
  return byExtension !== null && (containers[byContent]?.test(byExtension) ?? false);
}

function isTextType(type: string | null): boolean {
  if (type === null) return false;
  return (
    type.startsWith("text/") ||
    /[/+](json|xml|yaml|toml|javascript|jsonl|sql|x-sh|rtf)$/.test(type) ||
    type === "application/x-httpd-php"
  );
}

/** Extensions that the registry lacks, or where it names a format nobody uploads here. */
const ownExtensions: Readonly<Record<string, string>> = {
  jsonl: "application/jsonl",
  ndjson: "application/x-ndjson",
  // The registry knows .ts as a video stream.
  ts: "text/plain",
  tsx: "text/plain",
  py: "text/x-python",
  py3: "text/x-python",
  go: "text/x-go",
};

function typeOfExtension(extension: string): string | null {
  if (extension === "") return null;
  const own = Object.hasOwn(ownExtensions, extension) ? ownExtensions[extension] : undefined;
  return own ?? mime.getType(extension);
}

async function firstBytes(source: FileSource): Promise<Buffer> {
  if (source.sizeBytes === 0) return Buffer.alloc(0);
  const end = Math.min(SAMPLE_BYTES, source.sizeBytes) - 1;
  const chunks: Buffer[] = [];
  for await (const chunk of source.open({ start: 0, end })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** `cut`: the sample ends in mid-file, perhaps in mid-character. */
function isUtf8Text(sample: Buffer, cut: boolean): boolean {
  if (sample.includes(0)) return false;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(sample, { stream: cut });
    return true;
  } catch {
    return false;
  }
}
