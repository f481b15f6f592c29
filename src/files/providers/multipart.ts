import { randomBytes } from "node:crypto";
import type { FileSource } from "../file-manager.ts";

/** A form with plain fields and one file, the file last. */
export interface FileForm {
  readonly fields: Readonly<Record<string, string>>;
  readonly fileField: string;
  readonly fileName: string;
  readonly mimeType: string;
  readonly source: FileSource;
}

/** The parts of a form's encoding that go around the file's bytes. */
export interface FormFrame {
  /** Value of the `Content-Type` header. */
  readonly contentType: string;
  /** Bytes of the whole body, the file's included. */
  readonly contentLength: number;
  readonly head: Buffer;
  readonly tail: Buffer;
}

/**
 * Encodes a form as `multipart/form-data` after the WHATWG rules
 * (https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data):
 * names are UTF-8 with quotes and line breaks percent-encoded, so that no name can end its header.
 */
export function formFrame(form: FileForm): FormFrame {
  const boundary = `----changeover-${randomBytes(16).toString("hex")}`;
  const fields = Object.entries(form.fields).map(
    ([name, value]) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${escapedName(name)}"\r\n\r\n${value}\r\n`,
  );
  const disposition = `form-data; name="${escapedName(form.fileField)}"; filename="${escapedName(form.fileName)}"`;
  const file = `--${boundary}\r\nContent-Disposition: ${disposition}\r\nContent-Type: ${safeType(form.mimeType)}\r\n\r\n`;
  const head = Buffer.from(fields.join("") + file);
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    contentLength: head.length + form.source.sizeBytes + tail.length,
    head,
    tail,
  };
}

/** A name as it goes over the wire, and as some providers then show it. */
export function escapedName(name: string): string {
  return name.replaceAll("\n", "%0A").replaceAll("\r", "%0D").replaceAll('"', "%22");
}

/** RFC 9110, 8.3.1: type and subtype are tokens; parameters are printable ASCII. */
function safeType(mimeType: string): string {
  const token = "[\\w!#$%&'*+.^`|~-]+";
  return new RegExp(`^${token}/${token}(;[\\x20-\\x7e]*)?$`).test(mimeType)
    ? mimeType
    : "application/octet-stream";
}
