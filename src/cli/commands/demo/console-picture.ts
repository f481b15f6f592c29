import type { Browser, BrowserContext, Page, Route } from "playwright-core";
import { assetOf } from "../../../server/console/assets.ts";
import type { ConsoleState } from "./console-state.ts";

/** How a picture looks at the page. */
export interface ConsoleView {
  /** Pixels of the page; the picture has `scale` times as many. */
  readonly width: number;
  readonly scale: number;
  readonly dark: boolean;
  /** Selector of the last part of the page that is to be seen. */
  readonly until: string;
}

/** A font to draw with in place of the machine's own, so that every machine draws the same. */
export interface PictureFont {
  readonly name: string;
  /** As WOFF2. */
  readonly file: Buffer;
}

/** Milliseconds until the page must show what it was told. */
const shownLimitMs = 10_000;
/** Pixels of the page below the last part. */
const marginPx = 24;
/** No host: whatever the page asks for is answered here. */
const origin = "http://changeover.invalid";
const fontPath = "/picture.woff2";
/** Else letters are as wide as the machine's font settings round them to. */
const exact = "text-rendering:geometricPrecision";

/**
 * Draws the console as it is when it is told `state`, as PNG. The page is the product's own; time stands
 * still at the state's own moment, in UTC and British English, and nothing is asked of any server.
 */
export async function drawConsole(
  browser: Browser,
  state: ConsoleState,
  font?: PictureFont,
): Promise<Buffer> {
  const { width, scale, dark, until } = state.view;
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    deviceScaleFactor: scale,
    locale: "en-GB",
    timezoneId: "UTC",
    reducedMotion: "reduce",
  });
  context.setDefaultTimeout(shownLimitMs);
  try {
    await answerFor(context, state, font);
    const page = await context.newPage();
    await page.clock.setFixedTime(new Date(state.message.at));
    await page.goto(origin);
    await page.click(`#operations button:has-text("${state.operation}")`);
    await page.mouse.move(0, 0);
    await drawn(page, dark);
    const end = await page.locator(until).last().boundingBox();
    if (end === null) throw new RangeError(`The console shows no ${until}.`);
    const height = Math.ceil(end.y + end.height + marginPx);
    const clip = { x: 0, y: 0, width, height };
    return await page.screenshot({ fullPage: true, clip, animations: "disabled" });
  } finally {
    await context.close();
  }
}

/** Waits for letters and charts; choosing the theme draws the charts once more, now with the letters. */
async function drawn(page: Page, dark: boolean): Promise<void> {
  if ((await assetOf("/console/uplot.js")) !== null) {
    await page.locator("#charts canvas").nth(3).waitFor();
  }
  await page.evaluate("document.fonts.ready.then(() => undefined)");
  await page.selectOption("#theme", dark ? "dark" : "light");
  const frame = "new Promise((resolve) => requestAnimationFrame(() => resolve()))";
  for (let frames = 0; frames < 2; frames += 1) await page.evaluate(frame);
}

async function answerFor(
  context: BrowserContext,
  { message }: ConsoleState,
  font: PictureFont | undefined,
): Promise<void> {
  const feed = `data: ${JSON.stringify(message)}\n\n`;
  const face =
    font === undefined
      ? ""
      : `@font-face{font-family:${font.name};src:url(${fontPath});font-weight:100 900}*{${exact}}`;
  await context.route("**/*", async (route: Route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === "/console/events") {
      return route.fulfill({ contentType: "text/event-stream; charset=utf-8", body: feed });
    }
    if (font !== undefined && pathname === fontPath) return route.fulfill({ body: font.file });
    const asset = await assetOf(pathname).catch(() => null);
    if (asset === null) return route.abort();
    const text = asset.encodings.identity.toString("utf8");
    const own = font === undefined ? text : text.replaceAll("system-ui", font.name);
    const body = pathname.endsWith("style.css") ? `${face}${own}` : own;
    return route.fulfill({ contentType: asset.type, body });
  });
}
