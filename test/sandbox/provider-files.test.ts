import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type ProviderFile, ProviderFiles } from "../../src/sandbox/provider/provider-files.ts";

const file: ProviderFile = {
  id: "kept",
  fileName: "a.pdf",
  purpose: "file-extract",
  mimeType: "application/pdf",
  bytes: 3,
  sha256: "0".repeat(64),
  createdAt: 1,
};

it("a stand-in that was killed while it wrote keeps what was whole and starts without the rest", async () => {
  const folder = await mkdtemp(join(tmpdir(), "changeover-provider-files-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const before = await ProviderFiles.open(folder);
  await writeFile(before.arrivalPath(file.id), "abc");
  await before.add(file);
  const halves = {
    "empty.json": "",
    "empty.bin": "abc",
    "cut.json": '{"id":"cut","fileNa',
    "cut.bin": "abc",
    "alone.bin": "abc",
    "arriving.part": "ab",
    "unnamed.bin": "abc",
    "unnamed.json.part": JSON.stringify({ ...file, id: "unnamed" }),
  };
  for (const [name, text] of Object.entries(halves)) await writeFile(join(folder, name), text);
  const after = await ProviderFiles.open(folder);
  expect(after.all()).toEqual([file]);
  expect((await readdir(folder)).toSorted()).toEqual(["kept.bin", "kept.json"]);
});
