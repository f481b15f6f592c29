import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type ConsoleApp, type ConsoleAppOptions, startConsole } from "../support/console-app.ts";
import { behind, withHeld, withInstances, withRollout } from "./console-snapshots.ts";

const executablePath = "/usr/bin/chromium";

// What `npm test` leaves out, and why; `.ci/run` sets the variable, and there a missing browser fails.
const here = process.env["CHANGEOVER_SYSTEM"] === "1";
/** A folder for pictures of what was tested, for people to look at. */
const pictures = process.env["CHANGEOVER_PICTURES"];

const flags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

describe.skipIf(!here)("the console in a browser (needs Chromium: run by .ci/run)", () => {
  let browser: Browser;
  let axe: string;
  let product: ConsoleApp;
  let page: Page;
  let problems: string[];

  beforeAll(async () => {
    if (!existsSync(executablePath)) throw new Error(`There is no browser at ${executablePath}.`);
    browser = await chromium.launch({ executablePath, args: flags });
    axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    if (pictures !== undefined) await mkdir(pictures, { recursive: true });
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    await page.context().close();
    await product.close();
    // A refused script, a style outside of the policy, an error: nothing of it may happen.
    expect(problems).toEqual([]);
  });

  const open = async (
    options: ConsoleAppOptions = {},
    view: { readonly width?: number; readonly dark?: boolean } = {},
  ): Promise<void> => {
    product = await startConsole(options);
    const { width = 1280, dark = false } = view;
    const context = await browser.newContext({
      viewport: { width, height: 800 },
      colorScheme: dark ? "dark" : "light",
      reducedMotion: "reduce",
    });
    page = await context.newPage();
    problems = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => {
      const { url } = message.location();
      // What a test breaks on purpose is said by the browser as an error.
      const expected = /ERR_|Failed to load resource/.test(message.text()) && url.includes("/con");
      if (message.type() === "error" && !expected) problems.push(message.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(product.url) && !request.url().startsWith("data:")) {
        problems.push(`asked ${request.url()}`);
      }
    });
    await page.goto(product.url);
  };
  const picture = async (name: string): Promise<void> => {
    if (pictures === undefined) return;
    await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  };
  const text = (id: string): Promise<string | null> => page.textContent(`#${id}`);
  const see = (id: string, part: RegExp | string): Promise<void> =>
    expect.poll(() => text(id), { timeout: 20_000 }).toMatch(part);

  /** Answers a dialog with name, reason and token. */
  const confirm = async (button: string): Promise<void> => {
    await page.fill("#by", "ann");
    await page.fill("#reason", "wrong hashes");
    if (await page.isVisible("#token")) await page.fill("#token", product.token);
    await page.click(`#dialog-go:has-text("${button}")`);
    await expect.poll(() => text("dialog-result"), { timeout: 10_000 }).toContain("Done.");
  };
  const violations = async (): Promise<unknown> => {
    // Through the debugger's own channel, which the page's policy does not bind.
    const session = await page.context().newCDPSession(page);
    await session.send("Runtime.evaluate", { expression: axe });
    const { result } = await session.send("Runtime.evaluate", {
      expression:
        "axe.run().then(({violations}) => JSON.stringify(violations.map(({id, nodes}) => [id, nodes.map(({html, any}) => [html, any.map(({message}) => message)])])))",
      awaitPromise: true,
      returnByValue: true,
    });
    return JSON.parse(String(result.value));
  };

  it("shows both paths beside each other, live, and draws them", async () => {
    await open({ guard: { engine: { healthyAfterSeconds: 2 }, latency: { enabled: false } } });
    for (let round = 0; round < 24; round += 1) {
      await product.call(12);
      await page.waitForTimeout(400);
    }
    await see("headline", /files\.upload is at 50\u00a0%, and healthy/);
    expect(await text("freshness")).toBe("live");
    await expect.poll(() => page.locator("#charts canvas").count()).toBe(4);
    const cells = await page.locator("#paths tr:nth-child(6) td").allTextContents();
    expect(cells).toHaveLength(2);
    for (const cell of cells) expect(cell).toMatch(/^[\d.]+ ms$/);
    expect(await page.locator("#rules li").count()).toBeGreaterThan(5);
    await picture("healthy");
  });

  it("rolls back by a click that names what will happen, and re-arms", async () => {
    await open();
    await product.call(20);
    await see("headline", /files\.upload is at 50\u00a0%/);
    await page.click("#action-rollback");
    const said = await text("dialog-text");
    expect(said).toContain("Every call of files.upload goes to legacy at once.");
    expect(said).toContain("from 50 % to 0 %");
    await picture("confirmation");
    await confirm("Roll back files.upload");
    await page.click("#dialog-cancel");
    await see("headline", /files\.upload was rolled back/);
    expect(
      product.changeover.operations.find(({ name }) => name === "files.upload")?.latch,
    ).toEqual(expect.objectContaining({ tripped: true }));
    await see("journal", /wrong hashes/);
    // Ages grow while nothing else changes.
    await see("journal", /[23] s ago/);
    // The newest first, and what is told of one moment is told once.
    expect(await page.locator("#journal li b").first().textContent()).toBe("rollback");
    await picture("rolled-back");
    await page.click("#action-rearm");
    expect(await text("dialog-text")).toContain("The percentage stays at 0 %");
    await confirm("Re-arm files.upload");
    await page.click("#dialog-cancel");
    await expect.poll(() => page.isVisible("#action-rollback"), { timeout: 10_000 }).toBe(true);
    // For this tab only, and gone when it is locked.
    expect(await page.evaluate("localStorage.length + document.cookie.length")).toBe(0);
    await page.click("#lock");
    expect(await page.evaluate("sessionStorage.getItem('changeover.operator-token')")).toBeNull();
  });

  it("shows an injected fault's rollback and its reason within seconds", async () => {
    await open();
    await product.call(40);
    await see("headline", /files\.upload is at 50\u00a0%/);
    product.candidate.fails = true;
    const from = performance.now();
    let latchedMs = Number.NaN;
    product.changeover.breaches.subscribe(() => {
      latchedMs = Math.round(performance.now() - from);
    });
    const calling = setInterval(() => void product.call(10), 100);
    await page
      .locator("#headline:has-text('files.upload was rolled back')")
      .waitFor({ timeout: 20_000 })
      .finally(() => clearInterval(calling));
    const shownMs = Math.round(performance.now() - from);
    // A figure of this machine, and nothing that is asserted.
    console.log(`From the fault to the latch ${latchedMs} ms, to the console ${shownMs} ms.`);
    expect(await text("headline-text")).toMatch(/the rule/);
    await see("journal", /rollback/);
    await page.waitForTimeout(4000);
    await picture("rolled-back-by-rule");
  });

  it("shows a rollout's stages and gates, and offers what its state allows", async () => {
    await open({ change: withRollout });
    await see("rollout-why", /^Waiting for a person's approval, at this stage for 16 min\.$/);
    expect(await page.locator("#stages li").allTextContents()).toEqual([
      "✓ shadow",
      "✓ 1 %",
      "✓ 10 %",
      "50 %",
      "95 %",
      "100 %",
    ]);
    expect(await page.locator("#stages [aria-current=step]").textContent()).toBe("50 %");
    expect(await page.locator("#gates li").count()).toBe(7);
    expect(await page.locator("#gates li").first().textContent()).toContain("approval, waiting:");
    for (const id of ["pause", "approve"]) expect(await page.isVisible(`#action-${id}`)).toBe(true);
    expect(await page.isVisible("#action-resume")).toBe(false);
    await page.click("#action-approve");
    expect(await text("dialog-text")).toContain("95 % of all calls");
    const asked = page.waitForRequest((request) => request.method() === "POST");
    await page.fill("#by", "ann");
    await page.fill("#reason", "looks good");
    await page.fill("#token", product.token);
    await page.click("#dialog-go");
    const command = await asked;
    expect(new URL(command.url()).pathname).toBe("/control/rollout/files.upload/approve");
    expect(command.postDataJSON()).toEqual({ by: "ann", reason: "looks good" });
    // No rollout is led behind this test's page: it says so in the gateway's own words.
    await see("dialog-result", /\w/);
    await page.click("#dialog-cancel");
    await product.call(30);
    await page.waitForTimeout(2500);
    await picture("mid-rollout");
  });

  it("says once what stops a rollout, at the gate that does", async () => {
    await open({ change: withHeld });
    await product.call(30);
    await see("rollout-why", /^Held, at this stage for 16 min\. Stopped by: earlier operations\.$/);
    expect(await text("headline-text")).toContain("Rollout: held.");
    const card = (await text("operation")) ?? "";
    expect(card.split(behind)).toHaveLength(2);
    expect(await page.locator("#gates li").first().textContent()).toContain(
      `earlier operations, holding: ${behind}`,
    );
    // The guard's sentence stands under the name, and not at its gate again.
    const sentence = (await text("operation-sentence")) ?? "";
    expect(sentence).toMatch(/\w/);
    expect(await text("gates")).not.toContain(sentence);
    expect(await text("gates")).toContain("as said above");
    for (const [id, offered] of [
      ["rollback", true],
      ["pause", true],
      ["resume", true],
      ["approve", false],
    ] as const) {
      expect([id, await page.isVisible(`#action-${id}`)]).toEqual([id, offered]);
    }
    await picture("held");
  });

  it("lists the instances of a fleet, and says when they do not go by the same flags", async () => {
    let revisions = ["17", "17", "16"];
    await open({ change: withInstances(() => revisions) });
    await see("instances-summary", /^3 live, and they do not agree: 2 flag revisions\.$/);
    expect(await page.locator("#instances tr").allTextContents()).toEqual([
      expect.stringContaining("host-117"),
      expect.stringContaining("host-217"),
      expect.stringContaining("host-316"),
    ]);
    await picture("fleet");
    revisions = ["17", "17", "17"];
    await see("instances-summary", /^3 live, all on one flag revision\.$/);
  });

  it("says that its data is old when the gateway is gone, and goes on when it is back", async () => {
    await open();
    await product.call(10);
    await see("headline", /files\.upload/);
    const { port } = product;
    await product.close();
    await see("banner-what", /Old data.*does not answer/);
    expect(await page.locator("body.stale").count()).toBe(1);
    expect(await text("freshness")).toMatch(/\d+ s old/);
    const older = Number.parseInt((await text("freshness")) ?? "", 10);
    await expect
      .poll(async () => Number.parseInt((await text("freshness")) ?? "", 10), { timeout: 10_000 })
      .toBeGreaterThan(older);
    await picture("stale");
    product = await startConsole({ port });
    await expect.poll(() => text("freshness"), { timeout: 20_000 }).toBe("live");
    expect(await page.isVisible("#banner")).toBe(false);
  });

  it("shows names and messages that are HTML as text", async () => {
    const field = '<img src=x onerror="document.title=1">.pdf';
    await open({ differingField: field });
    product.candidate.differs = true;
    await product.call(60);
    await page.click("#operations button:has-text('files.info')");
    await expect
      .poll(() => page.locator("#mismatches details").count(), { timeout: 20_000 })
      .toBe(1);
    await page.click("#mismatches summary");
    expect(await text("mismatches")).toContain("<img src=x");
    expect(await page.locator("#mismatches img").count()).toBe(0);
    // Without the token the values are not even sent.
    expect(await text("mismatches")).toContain("once the console is unlocked");
    await page.click("#lock");
    await page.fill("#token", product.token);
    await page.click("#dialog-go");
    await see("mismatches", /legacy 1/);
    await see("mismatches", /changeover mismatches replay/);
    await picture("mismatches");
    expect(await page.title()).toBe("changeover console");
  });

  it("can be used with the keyboard alone", async () => {
    await open();
    await see("headline", /files\.upload/);
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Skip to the operation");
    await page.focus("#operations button >> nth=0");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await see("operation-name", "files.info");
    await page.focus("#action-rollback");
    await page.keyboard.press("Enter");
    expect(await page.evaluate("document.activeElement.id")).toBe("token");
    await page.keyboard.type(product.token);
    for (const words of ["ann", "typed"]) {
      await page.keyboard.press("Tab");
      await page.keyboard.type(words);
    }
    // Past the button that cancels.
    for (const key of ["Tab", "Tab", "Enter"]) await page.keyboard.press(key);
    await see("dialog-result", /Done\./);
    await page.keyboard.press("Escape");
    await see("headline", /files\.info was rolled back/);
  });

  it.each([
    ["light", false],
    ["dark", true],
  ])("has no accessibility violation in the %s theme", async (name, dark) => {
    await open({ change: withRollout }, { dark });
    await product.call(20);
    await see("rollout-why", /Waiting for a person/);
    const paper = await page.evaluate("getComputedStyle(document.body).backgroundColor");
    expect(await violations()).toEqual([]);
    await page.click("#action-rollback");
    expect(await violations()).toEqual([]);
    await page.click("#dialog-cancel");
    await picture(`theme-${name}`);
    await page.selectOption("#theme", dark ? "light" : "dark");
    const other = await page.evaluate("getComputedStyle(document.body).backgroundColor");
    expect(other).not.toBe(paper);
    expect(await violations()).toEqual([]);
  });

  it("fits a phone without scrolling sideways", async () => {
    await open({ change: withRollout }, { width: 375 });
    await product.call(40);
    await see("rollout-why", /Waiting for a person/);
    await page.waitForTimeout(2500);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(375);
    expect(await violations()).toEqual([]);
    await picture("phone");
    await page.click("#action-rollback");
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(375);
  });

  it("off loopback shows nothing until it has the token", async () => {
    await open({ host: "::ffff:127.0.0.1" });
    await expect.poll(() => page.isVisible("#dialog"), { timeout: 10_000 }).toBe(true);
    expect(await text("dialog-title")).toBe("Unlock the console");
    expect(await page.isVisible("#content")).toBe(false);
    await page.fill("#token", "a-wrong-token-of-somebody");
    await page.click("#dialog-go");
    await see("dialog-result", /does not know this token/);
    await page.fill("#token", product.token);
    await page.click("#dialog-go");
    await see("headline", /files\./);
    expect(await page.isVisible("#content")).toBe(true);
  });
});
