import { createHash } from "node:crypto";
import { Busboy } from "@fastify/busboy";

/** A form with one file as its receiver understands it. */
export interface FormFacts {
  readonly fields: Readonly<Record<string, string>>;
  readonly fileField: string;
  readonly fileName: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  /** Of the file's bytes, in hex. */
  readonly sha256: string;
  /** Bytes of the form as it was encoded. */
  readonly encodedBytes: number;
}

const limits = { files: 1, fields: 20, fieldSize: 64 * 1024, parts: 21, headerPairs: 50 } as const;

/**
 * Reads an encoded form to its end with a parser that is not ours, counts and hashes its file, and keeps
 * nothing of it. Rejects when the form is broken or has no file.
 */
export async function readForm(
  contentType: string,
  body: AsyncIterable<Uint8Array>,
): Promise<FormFacts> {
  const parser = new Busboy({ headers: { "content-type": contentType }, limits });
  const fields: Record<string, string> = {};
  const hash = createHash("sha256");
  let file: Pick<FormFacts, "fileField" | "fileName" | "mimeType"> | null = null;
  let sizeBytes = 0;
  parser.on("field", (name, value) => {
    fields[name] = value;
  });
  parser.on("file", (fileField, stream, fileName, _encoding, mimeType) => {
    file = { fileField, fileName: decodedName(fileName ?? ""), mimeType };
    stream.on("error", () => undefined);
    stream.on("data", (chunk: Buffer) => {
      hash.update(chunk);
      sizeBytes += chunk.length;
    });
  });
  const ended = new Promise<void>((resolve, reject) => {
    parser.once("finish", resolve);
    parser.once("error", reject);
  });
  ended.catch(() => undefined);
  let encodedBytes = 0;
  for await (const chunk of body) {
    encodedBytes += chunk.length;
    // A sender may fill the chunk again as soon as it is asked for the one after the next.
    const own = Buffer.from(chunk);
    const written = new Promise<void>((resolve) => parser.write(own, () => resolve()));
    await Promise.race([written, ended]);
  }
  parser.end();
  await ended;
  if (file === null) throw new Error("The form has no file.");
  const found: Pick<FormFacts, "fileField" | "fileName" | "mimeType"> = file;
  return { ...found, fields, sizeBytes, sha256: hash.digest("hex"), encodedBytes };
}

/** Undoes how forms write quotes and line breaks in a name (HTML standard, multipart/form-data encoding). */
export function decodedName(name: string): string {
  const encoded: Readonly<Record<string, string>> = { "%22": '"', "%0D": "\r", "%0A": "\n" };
  return name.replace(/%22|%0D|%0A/gi, (code) => encoded[code.toUpperCase()] ?? code);
}
