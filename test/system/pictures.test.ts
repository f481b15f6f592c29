import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SnapshotOperation } from "../../src/app/snapshot.ts";
import { drawConsole, type PictureFont } from "../../src/cli/commands/demo/console-picture.ts";
import { type ConsoleState, stateText } from "../../src/cli/commands/demo/console-state.ts";
import { root } from "../rules/sources.ts";
import { comparePictures, differingMax } from "./pictures/comparison.ts";
import { smallPng } from "./pictures/small-png.ts";

const executablePath = "/usr/bin/chromium";
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"];

// What `npm test` leaves out, and why; `.ci/run` sets the variable, and there a missing browser fails.
const here = process.env["CHANGEOVER_SYSTEM"] === "1";
/** Writes the pictures before it looks at them. */
const draws = process.env["CHANGEOVER_DRAW"] === "1";

const folder = "test/system/pictures";
const names = ["mid-rollout", "rolled-back", "healthy"];
const record = `npm run demo -- --pictures ${folder}`;
const draw = `CHANGEOVER_SYSTEM=1 CHANGEOVER_DRAW=1 npx vitest run ${folder}.test.ts`;
const bytesMax = 150_000;
const widthMax = 1280;

const pathOf = (file: string): string => join(root, folder, file);

async function stateOf(name: string): Promise<ConsoleState> {
  const path = pathOf(`${name}.json`);
  if (!existsSync(path)) throw new Error(`There is no ${path}. Record it: ${record} && ${draw}`);
  return JSON.parse(await readFile(path, "utf8")) as ConsoleState;
}

async function pictureOf(name: string): Promise<Buffer> {
  const path = pathOf(`${name}.png`);
  if (!existsSync(path)) throw new Error(`There is no ${path}. Draw it: ${draw}`);
  return readFile(path);
}

/** From a package that the lock file pins, so that letters are the same on every machine. */
async function pinnedFont(): Promise<PictureFont> {
  const assets = join(root, "node_modules/@supabase/lite/dist/static/assets");
  const file = (await readdir(assets)).find((each) => /^InterVariable-(?!Italic)/.test(each));
  if (file === undefined) throw new Error(`${assets} has no InterVariable font any more.`);
  return { name: "Inter", file: await readFile(join(assets, file)) };
}

/** Every text in a value, names of fields included. */
function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([name, each]) => [name, ...textsOf(each)]);
}

/** Folders and addresses; keys, tokens and digests. */
const tells = [
  /\/(tmp|home|root|work|Users|var)\b|[A-Z]:\\|:\/\/|\d+\.\d+\.\d+\.\d+|localhost/,
  /[0-9a-f]{8}-[0-9a-f]{4}-|[0-9a-f]{16,}|[A-Za-z0-9_-]{32,}/,
];

describe.skipIf(!here)("the README's pictures in a browser (need Chromium: run by .ci/run)", () => {
  let browser: Browser;
  let font: PictureFont;
  let blank: Page;

  beforeAll(async () => {
    if (!existsSync(executablePath)) throw new Error(`There is no browser at ${executablePath}.`);
    browser = await chromium.launch({ executablePath, args: flags });
    blank = await browser.newPage();
    font = await pinnedFont();
    if (!draws) return;
    for (const name of names) {
      const png = await drawConsole(browser, await stateOf(name), font);
      await writeFile(pathOf(`${name}.png`), await smallPng(blank, png));
    }
  });
  afterAll(() => browser?.close());

  /** In words, what differs from the committed picture when `state` is drawn; empty: nothing. */
  const staleness = async (name: string, state: ConsoleState, by = browser): Promise<string> => {
    const drawn = await drawConsole(by, state, font);
    const { sizes, differing } = await comparePictures(blank, await pictureOf(name), drawn);
    console.log(`${name}: ${(differing * 100).toFixed(3)} % differs (${sizes.join(", ")}).`);
    if (differing <= differingMax) return "";
    return `${folder}/${name}.png is not what the console draws of ${name}.json: ${(differing * 100).toFixed(2)} % differs, of ${differingMax * 100} % at most (${sizes.join(" and ")} pixels). When the console was changed on purpose: ${draw}. When it was not: does this machine lack DejaVu Sans, which the check marks are drawn with?`;
  };
  const changed = async (
    name: string,
    change: (operation: SnapshotOperation) => Partial<SnapshotOperation>,
  ): Promise<ConsoleState> => {
    const state = await stateOf(name);
    const operations = (state.message.operations ?? []).map((each) =>
      each.name === state.operation ? { ...each, ...change(each) } : each,
    );
    return { ...state, message: { ...state.message, operations } };
  };
  const at =
    (percentage: number) =>
    ({ flag }: SnapshotOperation): Partial<SnapshotOperation> =>
      flag === null ? {} : { flag: { ...flag, percentage, enabled: true } };

  it.each(names)("%s is what the page of today draws of it", async (name) => {
    expect(await staleness(name, await stateOf(name))).toBe("");
  });

  it("are drawn alike where letters are smoothed and placed otherwise", async () => {
    const args = [...flags, "--font-render-hinting=full", "--disable-font-subpixel-positioning"];
    const other = await chromium.launch({ executablePath, args });
    try {
      for (const name of names) expect(await staleness(name, await stateOf(name), other)).toBe("");
    } finally {
      await other.close();
    }
  });

  it.each([
    ["mid-rollout", 60],
    ["mid-rollout", 10],
    ["healthy", 95],
    ["rolled-back", 10],
  ])("are stale when %s shows another percentage, as %i", async (name, percentage) => {
    expect(await staleness(name, await changed(name, at(percentage)))).toContain(draw);
  });

  it.each([
    ["mid-rollout", "healthy"],
    ["healthy", "suspect"],
  ] as const)("are stale when %s shows another verdict, as %s", async (name, verdict) => {
    const other = await changed(name, (operation) => ({
      verdict: { ...operation.verdict, verdict },
    }));
    expect(await staleness(name, other)).toContain(draw);
  });

  it("are stale when nothing was rolled back", async () => {
    const armed = await changed("rolled-back", () => ({ latch: null }));
    expect(await staleness("rolled-back", armed)).toContain(draw);
  });

  it.each(names)("are stale when %s has the other theme", async (name) => {
    const state = await stateOf(name);
    const view = { ...state.view, dark: !state.view.dark };
    expect(await staleness(name, { ...state, view })).toContain(draw);
  });
});

describe("the README's pictures", () => {
  it("are shown in the README, beside the commands that make them", async () => {
    const readme = await readFile(join(root, "README.md"), "utf8");
    const files = (await readdir(join(root, folder))).filter((file) => !file.endsWith(".ts"));
    expect(files.sort()).toEqual(names.flatMap((name) => [`${name}.json`, `${name}.png`]).sort());
    for (const name of names) expect(readme).toMatch(new RegExp(`${folder}/${name}\\.png`));
    for (const command of [record, draw]) expect(readme).toContain(`\n${command}\n`);
  });

  it.each(names)("%s is small enough to be opened with the README", async (name) => {
    const png = await pictureOf(name);
    expect(png.length).toBeLessThan(bytesMax);
    expect(png.readUInt32BE(16)).toBeLessThanOrEqual(widthMax);
  });

  it.each(names)("%s is drawn from what tells nothing of the machine", async (name) => {
    const state = await stateOf(name);
    const telling = textsOf(state).filter((text) => tells.some((pattern) => pattern.test(text)));
    expect(telling).toEqual([]);
    // In place of its host name.
    for (const { rollout } of state.message.operations ?? []) {
      expect(rollout?.leader?.holder).toMatch(/^demo \d+ [0-9a-f]{8}$/);
    }
    expect(state.message.unlocked).toBe(false);
    expect(await readFile(pathOf(`${name}.json`), "utf8")).toBe(stateText(state));
  });
});
