import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";

const BLOCK_BYTES = 1_000_000;
const UNIQUE_BYTES = 16;

/** Writes a file of random bytes: one random block over and over, so that a large file is made fast. */
export async function makeFile(path: string, sizeBytes: number): Promise<void> {
  const block = randomBytes(Math.min(BLOCK_BYTES, sizeBytes));
  const file = await open(path, "w");
  try {
    for (let written = 0; written < sizeBytes; written += block.length) {
      await file.write(block.subarray(0, Math.min(block.length, sizeBytes - written)));
    }
  } finally {
    await file.close();
  }
}

/** Writes `count` such files into a folder and returns their paths. */
export async function makeFiles(
  folder: string,
  count: number,
  sizeBytes: number,
): Promise<string[]> {
  const paths = Array.from({ length: count }, (_, index) =>
    join(folder, `${sizeBytes}-${index}.bin`),
  );
  for (const path of paths) await makeFile(path, sizeBytes);
  return paths;
}

/** Makes the file's content one that was never stored: other bytes at its start, the rest as it was. */
export async function makeUnique(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.write(randomBytes(UNIQUE_BYTES), 0, UNIQUE_BYTES, 0);
  } finally {
    await file.close();
  }
}

/** SHA-256 of a file, in hex. */
export async function hashOfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
