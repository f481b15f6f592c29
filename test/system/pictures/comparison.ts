import type { Page } from "playwright-core";

/** How far two pictures are from each other. */
export interface Comparison {
  /** Width and height of each in pixels, as `1280x800`. */
  readonly sizes: readonly [string, string];
  /** Share of squares of 8 by 8 pixels whose mean colour differs noticeably; 1 for another size. */
  readonly differing: number;
}

/**
 * The largest share that is still the same picture. Measured, Chromium 156: 0 on the machine that drew it and
 * with other hinting; 0.03 % with DejaVu Sans as the only font and full hinting; from 0.16 % on with another
 * percentage, 4 % with another verdict, 99 % in the other theme.
 */
export const differingMax = 0.001;

/** Pixels along a square's side: letters that are smoothed otherwise have the same mean, nearly. */
const side = 8;
/** A difference from here on is noticeable; of red, green or blue, each up to 255. */
const noticeable = 32;

/**
 * Compares two PNG files in a browser.
 * @param page a blank page of it
 */
export function comparePictures(page: Page, one: Buffer, other: Buffer): Promise<Comparison> {
  return page.evaluate<Comparison>(
    `(async (files) => {
      const pictures = await Promise.all(files.map((base64) =>
        createImageBitmap(new Blob([Uint8Array.fromBase64(base64)], { type: "image/png" }))));
      const sizes = pictures.map(({ width, height }) => width + "x" + height);
      if (sizes[0] !== sizes[1]) return { sizes, differing: 1 };
      const { width, height } = pictures[0];
      const [columns, rows] = [Math.ceil(width / ${side}), Math.ceil(height / ${side})];
      const sums = pictures.map((picture) => {
        const canvas = new OffscreenCanvas(width, height).getContext("2d");
        canvas.drawImage(picture, 0, 0);
        const { data } = canvas.getImageData(0, 0, width, height);
        const found = new Float64Array(columns * rows * 3);
        for (let y = 0; y < height; y += 1) {
          for (let x = 0; x < width; x += 1) {
            const square = Math.floor(y / ${side}) * columns + Math.floor(x / ${side});
            for (let part = 0; part < 3; part += 1) {
              found[square * 3 + part] += data[(y * width + x) * 4 + part] / ${side * side};
            }
          }
        }
        return found;
      });
      let differing = 0;
      for (let square = 0; square < columns * rows; square += 1) {
        const apart = [0, 1, 2].map((part) =>
          Math.abs(sums[0][square * 3 + part] - sums[1][square * 3 + part]));
        if (Math.max(...apart) >= ${noticeable}) differing += 1;
      }
      return { sizes, differing: differing / (columns * rows) };
    })(${JSON.stringify([one.toString("base64"), other.toString("base64")])})`,
  );
}
