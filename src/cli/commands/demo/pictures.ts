import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { CodedError } from "../../../base/errors.ts";
import { withPackage } from "../../process/optional-package.ts";

/** How wide the pictures are, in pixels; they are as high as the page. */
const width = 1280;
/** Milliseconds until the page must be live. */
const liveLimitMs = 10_000;
/** Milliseconds that the page gets to draw its charts. */
const drawMs = 1500;

/** Takes pictures of the console while the demo goes on. */
export class Pictures {
  readonly taken: string[] = [];
  readonly #folder: string;
  readonly #origin: string;
  readonly #operation: string;
  readonly #browser: Browser;

  private constructor(
    { folder, origin, operation }: Omit<PictureOptions, "browser">,
    browser: Browser,
  ) {
    this.#folder = folder;
    this.#origin = origin;
    this.#operation = operation;
    this.#browser = browser;
  }

  /** Starts the browser. Rejects with `CLI_DEMO_BROWSER` where there is none, and `CLI_PACKAGE_MISSING`. */
  static async open({ browser: executablePath, ...options }: PictureOptions): Promise<Pictures> {
    if (!existsSync(executablePath)) throw noBrowser(executablePath);
    const { chromium } = await withPackage("pictures", () => import("playwright-core"));
    await mkdir(options.folder, { recursive: true });
    const args = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"];
    const background = ["--disable-background-networking", "--disable-component-update"];
    const browser = await chromium.launch({ executablePath, args: [...args, ...background] });
    return new Pictures(options, browser);
  }

  /** A picture of the whole page in the light theme; opens it for this alone. */
  async take(name: string): Promise<void> {
    const context = await this.#browser.newContext({
      viewport: { width, height: 800 },
      colorScheme: "light",
      reducedMotion: "reduce",
    });
    try {
      const page = await context.newPage();
      await page.goto(this.#origin);
      await page.click(`#operations button:has-text("${this.#operation}")`, {
        timeout: liveLimitMs,
      });
      await page.waitForTimeout(drawMs);
      const path = join(this.#folder, `${name}.png`);
      await page.screenshot({ path, fullPage: true });
      this.taken.push(path);
    } finally {
      await context.close();
    }
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}

/** What pictures are taken of, with what, and where they go. */
export interface PictureOptions {
  readonly folder: string;
  readonly origin: string;
  readonly operation: string;
  /** The program file of a Chromium. */
  readonly browser: string;
}

function noBrowser(path: string): CodedError {
  return new CodedError(
    "CLI_DEMO_BROWSER",
    `There is no browser at ${path} to take pictures with. Install Chromium, name another one in CHANGEOVER_CHROMIUM, or leave --pictures out.`,
    { status: 404 },
  );
}
