import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { CodedError } from "../../../base/errors.ts";
import { withPackage } from "../../process/optional-package.ts";
import { type ConsoleView, drawConsole } from "./console-picture.ts";
import { recordState, stateText } from "./console-state.ts";

/** Up to the charts: below them are the guard's rules, the journal and the process. */
const desktop = { width: 1024, scale: 1.25, until: ".paths table" };

/** The moments of the demo that pictures are taken of, and how. */
const views: Readonly<Record<PictureName, ConsoleView>> = {
  "mid-rollout": { ...desktop, dark: false },
  healthy: { width: 480, scale: 1.5, dark: false, until: ".overview" },
  "rolled-back": { ...desktop, dark: true },
};

/** What a picture is called. */
export type PictureName = "mid-rollout" | "healthy" | "rolled-back";

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

  /** Writes what the console is told now, as JSON, and a picture that is drawn from that. */
  async take(name: PictureName): Promise<void> {
    const view = { operation: this.#operation, view: views[name] };
    const state = await recordState(this.#origin, view);
    const file = (ending: string): string => join(this.#folder, `${name}.${ending}`);
    await writeFile(file("json"), stateText(state));
    await writeFile(file("png"), await drawConsole(this.#browser, state));
    this.taken.push(file("png"));
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
