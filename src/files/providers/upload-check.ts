import {
  blockedType,
  emptyFile,
  tooLarge,
  unknownProvider,
  unknownPurpose,
  unsupportedType,
} from "../errors.ts";
import { providerNames } from "../file-manager.ts";
import { extensionOf } from "../file-name.ts";
import { matchesType } from "../mime.ts";
import type { ProviderProfile, PurposeLimits } from "./profiles.ts";

/** What is known of an upload before a byte of it is sent on. */
export interface UploadFacts {
  readonly provider: string;
  readonly purpose: string;
  readonly name: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
}

/**
 * Would the provider take this file? Throws `FILES_UNKNOWN_PROVIDER`, `FILES_UNKNOWN_PURPOSE`,
 * `FILES_BLOCKED_TYPE`, `FILES_UNSUPPORTED_TYPE`, `FILES_EMPTY` or `FILES_TOO_LARGE`, naming the limit
 * and what was given. Pure.
 */
export function checkUpload(profile: ProviderProfile, upload: UploadFacts): void {
  if (upload.provider !== profile.provider) throw unknownProvider(upload.provider, providerNames);
  const { provider } = profile;
  const { purpose, name, mimeType, sizeBytes } = upload;
  const limits = purposeLimits(profile, purpose);
  if (matchesType(mimeType, profile.blockedTypes)) {
    throw blockedType(name, mimeType, `provider ${provider}`);
  }
  if (limits.extensions !== null && !limits.extensions.includes(extensionOf(name))) {
    throw unsupportedType({ name, provider, purpose }, limits.extensions);
  }
  if (sizeBytes === 0 && !profile.acceptsEmpty) throw emptyFile(name, provider);
  const limitBytes = maxBytesOf(limits, upload);
  if (sizeBytes > limitBytes) {
    const whose = `provider ${provider} for purpose ${purpose}`;
    throw tooLarge({ what: `The file ${JSON.stringify(name)}`, whose, limitBytes, sizeBytes });
  }
}

function purposeLimits(profile: ProviderProfile, purpose: string): PurposeLimits {
  const { purposes, provider } = profile;
  const limits = Object.hasOwn(purposes, purpose) ? purposes[purpose] : undefined;
  if (limits === undefined) throw unknownPurpose(purpose, provider, Object.keys(purposes));
  return limits;
}

function maxBytesOf({ maxBytes, maxImageBytes }: PurposeLimits, upload: UploadFacts): number {
  const isImage = upload.mimeType.startsWith("image/");
  return isImage && maxImageBytes !== undefined ? maxImageBytes : maxBytes;
}
