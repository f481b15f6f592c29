/** A drawing of a fixed size; the same input gives the same bytes. */
export interface Picture {
  readonly title: string;
  /** One line below the title: what is compared with what. */
  readonly subtitle: string;
  /** One line at the bottom: the machine, the time. */
  readonly footer: string;
}

/** Width of every picture, in pixels. */
export const WIDTH = 900;
/** Height of the title above the drawing, and of the footer below it. */
export const HEAD: number = 70;
export const FOOT: number = 34;

const style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; }
  .faint { fill: #59636e; font-size: 12px; }
  .axis { stroke: #d1d9e0; stroke-width: 1; }
  .one { stroke: #59636e; stroke-width: 1; stroke-dasharray: 4 3; }
  .better { stroke: #1a7f37; fill: #1a7f37; }
  .worse { stroke: #cf222e; fill: #cf222e; }
  .unclear { stroke: #9a6700; fill: #9a6700; }
  .base { fill: #8c959f; stroke: #8c959f; }
  .contender { fill: #0969da; stroke: #0969da; }
  .page { fill: #ffffff; }
  text.end { text-anchor: end; } text.middle { text-anchor: middle; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .faint { fill: #9198a1; } .axis { stroke: #3d444d; } .one { stroke: #9198a1; }
    .better { stroke: #3fb950; fill: #3fb950; } .worse { stroke: #f85149; fill: #f85149; }
    .unclear { stroke: #d29922; fill: #d29922; } .base { fill: #6e7781; stroke: #6e7781; }
    .contender { fill: #4493f8; stroke: #4493f8; } .page { fill: #0d1117; }
  }
`;

/** A whole SVG file: the parts, drawn below the title, in a picture `height` pixels high. */
export function svgOf(picture: Picture, height: number, parts: readonly string[]): string {
  const { title, subtitle, footer } = picture;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">`,
    `<style>${style}</style>`,
    `<rect class="page" width="${WIDTH}" height="${height}"/>`,
    textAt(20, 30, title, "title"),
    textAt(20, 50, subtitle, "faint"),
    ...parts,
    textAt(20, height - 12, footer, "faint"),
    "</svg>",
    "",
  ].join("\n");
}

/** Text at a point. */
export function textAt(x: number, y: number, text: string, className = ""): string {
  const of = className === "" ? "" : ` class="${className}"`;
  return `<text x="${px(x)}" y="${px(y)}"${of}>${escaped(text)}</text>`;
}

/** A straight line; `width` in pixels, by default as its class says. */
export function lineAt(
  [x1, y1, x2, y2]: readonly [number, number, number, number],
  className: string,
  width?: number,
): string {
  const thick = width === undefined ? "" : ` stroke-width="${width}"`;
  return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" class="${className}"${thick}/>`;
}

/** A filled box. */
export function boxAt(
  [x, y, width, height]: readonly [number, number, number, number],
  className: string,
): string {
  return `<rect x="${px(x)}" y="${px(y)}" width="${px(Math.max(0, width))}" height="${px(height)}" class="${className}"/>`;
}

/** A dot. */
export function dotAt(x: number, y: number, className: string): string {
  return `<circle cx="${px(x)}" cy="${px(y)}" r="4.5" class="${className}"/>`;
}

/** A number of pixels, to a tenth. */
export function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
