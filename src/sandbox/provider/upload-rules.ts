import { extensionOf, type ProviderWire, type Refusal, type RefusalFacts } from "./wire.ts";

/** An upload that has arrived, and what is already there. */
export interface UploadFacts {
  readonly purpose: string | undefined;
  /** Undefined: the body had no file. */
  readonly file: { readonly fileName: string; readonly bytes: number } | undefined;
  readonly filesOfPurpose: number;
  readonly filesInAll: number;
  readonly bytesInAll: number;
}

/** Why an upload is refused, with the numbers for the message. */
export interface UploadRefusal {
  readonly refusal: Refusal;
  readonly facts: RefusalFacts;
}

const IMAGES = new Set(["png", "jpg", "jpeg", "gif", "bmp", "webp", "tiff", "tif"]);

/** Decides over an upload by the provider's table: the first rule that is broken, or undefined. */
export function judgeUpload(wire: ProviderWire, upload: UploadFacts): UploadRefusal | undefined {
  const { purpose, file } = upload;
  if (file === undefined) return { refusal: "no-file", facts: {} };
  // Cut off while it arrived, perhaps before the purpose: too much for every purpose.
  const largest = largestFile(wire);
  if (file.bytes > largest) {
    return { refusal: "too-large", facts: { bytes: file.bytes, limitBytes: largest } };
  }
  if (purpose === undefined || purpose === "") return { refusal: "no-purpose", facts: {} };
  const rule = Object.hasOwn(wire.purposes, purpose) ? wire.purposes[purpose] : undefined;
  if (rule === undefined) return { refusal: "bad-purpose", facts: { purpose } };
  const extension = extensionOf(file.fileName);
  const limitBytes = (IMAGES.has(extension) ? rule.maxImageBytes : undefined) ?? rule.maxBytes;
  const facts = { purpose, fileName: file.fileName, bytes: file.bytes, limitBytes };
  if (file.bytes === 0) return { refusal: "empty-file", facts };
  if (file.bytes > limitBytes) return { refusal: "too-large", facts };
  if (rule.extensions !== null && !rule.extensions.has(extension)) {
    return { refusal: "bad-type", facts };
  }
  const maxFiles = Math.min(rule.maxFiles, wire.maxFiles);
  if (upload.filesOfPurpose >= rule.maxFiles || upload.filesInAll >= wire.maxFiles) {
    return { refusal: "too-many-files", facts: { ...facts, maxFiles } };
  }
  if (upload.bytesInAll + file.bytes > wire.maxTotalBytes) return { refusal: "quota-spent", facts };
  return undefined;
}

/** The largest file that any purpose of this provider takes, in bytes: nothing beyond is read to its end. */
export function largestFile(wire: ProviderWire): number {
  return Math.max(...Object.values(wire.purposes).map((rule) => rule.maxBytes));
}
