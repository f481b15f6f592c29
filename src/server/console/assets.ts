import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { codeOf } from "../../base/errors.ts";

/** One file of the page, ready to be sent. */
export interface Asset {
  readonly type: string;
  readonly etag: string;
  /** By the name that `Content-Encoding` has for it. */
  readonly encodings: Readonly<Record<"br" | "gzip" | "identity", Buffer>>;
}

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
};

/** The files of the page, in `page/`, by the address they are served under. */
const own: Readonly<Record<string, string>> = {
  "/": "index.html",
  "/console/style.css": "style.css",
  "/console/main.js": "main.js",
  "/console/actions.js": "actions.js",
  "/console/charts.js": "charts.js",
  "/console/clock.js": "clock.js",
  "/console/connection.js": "connection.js",
  "/console/dom.js": "dom.js",
  "/console/operation.js": "operation.js",
  "/console/overview.js": "overview.js",
  "/console/record.js": "record.js",
  "/console/words.js": "words.js",
};

/** Drawing the charts is left to an optional package; without it the page shows its numbers only. */
const optional: Readonly<Record<string, string>> = {
  "/console/uplot.js": "uplot/dist/uPlot.esm.js",
  "/console/uplot.css": "uplot/dist/uPlot.min.css",
};

/** Every address under which there may be a file. */
export const assetPaths: readonly string[] = [...Object.keys(own), ...Object.keys(optional)];

const brotli = promisify(brotliCompress);
const gzipped = promisify(gzip);
const loaded = new Map<string, Promise<Asset | null>>();

/**
 * A file of the page, read and compressed the first time anybody asks for it and kept in memory; null
 * for one that belongs to a package which is not installed.
 */
export function assetOf(path: string): Promise<Asset | null> {
  const known = loaded.get(path);
  if (known !== undefined) return known;
  const asset = load(path);
  loaded.set(path, asset);
  asset.catch(() => loaded.delete(path));
  return asset;
}

/** The best encoding that an `Accept-Encoding` header takes; `q=0` refuses one. */
export function encodingFor(accepted: string | undefined): keyof Asset["encodings"] {
  const names = (accepted ?? "")
    .toLowerCase()
    .split(",")
    .map((part) => part.trim())
    .filter((part) => !/;\s*q=0(\.0*)?$/.test(part))
    .map((part) => part.replace(/;.*$/, "").trim());
  if (names.includes("br")) return "br";
  return names.includes("gzip") ? "gzip" : "identity";
}

async function load(path: string): Promise<Asset | null> {
  const text = await read(path);
  if (text === null) return null;
  const extension = (own[path] ?? path).replace(/^.*\./, "");
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9 };
  const [br, gz] = await Promise.all([brotli(text, { params }), gzipped(text, { level: 9 })]);
  return {
    type: types[extension] ?? "application/octet-stream",
    // Weak: one tag for what differs in its encoding only.
    etag: `W/"${createHash("sha256").update(text).digest("base64url").slice(0, 22)}"`,
    encodings: { br, gzip: gz, identity: text },
  };
}

async function read(path: string): Promise<Buffer | null> {
  const name = own[path];
  if (name !== undefined) return readFile(join(import.meta.dirname, "page", name));
  try {
    return await readFile(createRequire(import.meta.url).resolve(optional[path] ?? path));
  } catch (error) {
    if (codeOf(error) === "MODULE_NOT_FOUND") return null;
    throw error;
  }
}
