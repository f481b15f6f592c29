import { crc32, deflateSync } from "node:zlib";
import type { Page } from "playwright-core";

const signature = Buffer.from("89504e470d0a1a0a", "hex");
const coloursMax = 256;

interface Pixels {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue of each pixel in turn. */
  readonly bytes: Buffer;
}

/**
 * The same picture with its 256 most frequent colours, the others by the nearest of these: a third of the
 * size of what a browser writes. Format: W3C, Portable Network Graphics, colour type 3 without filters.
 * @param page a blank page of a browser, which decodes the picture
 */
export async function smallPng(page: Page, png: Buffer): Promise<Buffer> {
  const { width, height, bytes } = await pixelsOf(page, png);
  const counts = new Map<number, number>();
  for (let at = 0; at < bytes.length; at += 3) {
    const colour = bytes.readUIntBE(at, 3);
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const frequent = [...counts].sort(([a, m], [b, n]) => n - m || a - b).map(([colour]) => colour);
  const palette = frequent.slice(0, coloursMax);
  const places = new Map(frequent.map((colour) => [colour, nearest(palette, colour)]));
  const rows = Buffer.alloc((width + 1) * height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const row = Math.floor(pixel / width);
    rows[pixel + row + 1] = places.get(bytes.readUIntBE(pixel * 3, 3)) ?? 0;
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  const colours = Buffer.alloc(palette.length * 3);
  for (const [index, colour] of palette.entries()) colours.writeUIntBE(colour, index * 3, 3);
  return Buffer.concat([
    signature,
    chunk("IHDR", head),
    chunk("PLTE", colours),
    chunk("IDAT", deflateSync(rows, { level: 9, memLevel: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

const parts = (colour: number): number[] => [colour >> 16, (colour >> 8) & 255, colour & 255];

function nearest(palette: readonly number[], colour: number): number {
  const own = parts(colour);
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const [index, each] of palette.entries()) {
    const far = parts(each).reduce((sum, part, at) => sum + (part - (own[at] ?? 0)) ** 2, 0);
    if (far < least) [best, least] = [index, far];
  }
  return best;
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const frame = Buffer.alloc(4);
  const check = Buffer.alloc(4);
  frame.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([frame, body, check]);
}

async function pixelsOf(page: Page, png: Buffer): Promise<Pixels> {
  const { width, height, text } = await page.evaluate<{
    width: number;
    height: number;
    text: string;
  }>(`(async () => {
    const bytes = Uint8Array.fromBase64("${png.toString("base64")}");
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const { width, height } = picture;
    const canvas = new OffscreenCanvas(width, height).getContext("2d");
    canvas.drawImage(picture, 0, 0);
    const { data } = canvas.getImageData(0, 0, width, height);
    const colours = new Uint8Array(width * height * 3);
    for (let at = 0; at < width * height; at += 1) {
      colours.set(data.subarray(at * 4, at * 4 + 3), at * 3);
    }
    return { width, height, text: colours.toBase64() };
  })()`);
  return { width, height, bytes: Buffer.from(text, "base64") };
}
