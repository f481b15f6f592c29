import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { readGuardPolicy } from "../../../app/policy-file.ts";
import { readPlan } from "../../../app/rollout/open-rollout.ts";
import { type ShortenedPlan, shortenPlan } from "../../../app/rollout/shortened-plan.ts";
import { Resources } from "../../../base/resources.ts";
import { type Command, type CommandContext, usage } from "../../context.ts";
import type { FlagsFrom } from "../../process/fleet.ts";
import { refuseExisting } from "../../process/new-file.ts";
import { styled } from "../../terminal/text.ts";
import { Pictures } from "./pictures.ts";
import { type DemoSettings, play } from "./play.ts";
import { DemoProduct } from "./product.ts";
import { problemsOf } from "./story.ts";
import { ending, opening, shortened } from "./telling.ts";
import { Traffic } from "./traffic/traffic.ts";

interface DemoOptions {
  readonly flags?: FlagsFrom;
  readonly output?: string;
  readonly pictures?: string;
  readonly pause?: boolean;
  readonly breakAt?: number;
  readonly hold: number;
}

const operation = "files.info";
/** A hash spreads few keys unevenly: of these names 5 are in the first per cent, 24 in the first ten. */
const tenantsCount = 200;
/** Calls of each kind in a second that are aimed at. */
const perSecond = { info: 240, list: 4, download: 4, upload: 2, delete: 2 };
/** Fewer look-ups in a second than this are told of: the machine has other things to do. */
const infoPerSecondMin = 200;
const concurrencyMax = 16;
/** Seconds of calm that the guard asks for, in place of its policy's minute. */
const calmSeconds = 5;
/** Seconds from the start at which the walk must be over, so that the whole demo ends within four minutes. */
const walkSeconds = 200;
const limitSeconds = 240;
/** Milliseconds that the product, the callers and the browser get to end. */
const stopMs = 9500;

/**
 * `changeover demo`: starts the product, sends traffic, lets a rollout walk, breaks the candidate and watches
 * it be rolled back; tells each step, writes a report, and removes everything else. Fails when the story did
 * not happen: no rollback, a caller harmed, a gate that was never passed.
 */
export const demo: Command<DemoOptions> = async (context, { options }) => {
  const { clock, output } = context;
  if (options.pause === true && (output.json || !process.stdin.isTTY)) {
    throw usage("--pause waits for Enter, and needs a terminal for that, without --json.");
  }
  const startedMs = clock.monotonicMs();
  // Now, and not after four minutes.
  if (options.output !== undefined) refuseExisting(resolve(options.output));
  context.allowToStop(stopMs);
  const opened = new Resources(clock);
  try {
    const settings = await open(context, options, opened);
    const { story, writeReport } = await play(context, settings);
    context.signal.throwIfAborted();
    const report = await writeReport(reportFile(options, clock.now()));
    const problems = problemsOf(story);
    await opened.close();
    const seconds = Math.round((clock.monotonicMs() - startedMs) / 100) / 10;
    const pictures = settings.pictures?.taken ?? [];
    const { changes } = settings.short;
    const happened = problems.length === 0;
    return {
      answer: {
        value: { happened, problems, seconds, ...story, shortened: changes, report, pictures },
        lines: ending(problems, story, { report, pictures, seconds }),
      },
      exit: happened ? "done" : "failed",
    };
  } finally {
    await opened.close();
  }
};

/** Starts everything there is; `opened` ends it in reverse, also when a step fails. */
async function open(
  context: CommandContext,
  options: DemoOptions,
  opened: Resources,
): Promise<DemoSettings> {
  const { clock, output, signal } = context;
  const startedMs = clock.monotonicMs();
  const config = context.config();
  const short = await shortPlan(context, options.hold);
  const breakAt = stageToBreak(short, options.breakAt);
  const folder = await mkdtemp(join(tmpdir(), "changeover-demo-"));
  opened.add("folder", () => rm(folder, { recursive: true, force: true, maxRetries: 3 }), 5000);
  await output.say(...opening(operation, limitSeconds), ...shortened(short.changes));
  const tenants = Array.from({ length: tenantsCount }, (_, index) => ({
    name: `shop-${String(index + 1).padStart(3, "0")}`,
    key: randomUUID(),
  }));
  const file = async (name: string, value: unknown): Promise<string> => {
    await writeFile(join(folder, name), JSON.stringify(value), { mode: 0o600 });
    return join(folder, name);
  };
  const environment = {
    CHANGEOVER_PORT: "0",
    CHANGEOVER_ENVIRONMENT: "sandbox",
    // Whoever is shown the pictures need not know this machine's name.
    CHANGEOVER_INSTANCE: "demo",
    // A line for each of these calls would cost what could serve some more of them.
    CHANGEOVER_LOG_LEVEL: "warn",
    CHANGEOVER_FLAGS_DIR: config.flagsDir,
    CHANGEOVER_ROLLOUT_PLAN: await file("plan.json", short.plan),
    CHANGEOVER_GUARD_POLICY: await file("policy.json", short.policy),
    CHANGEOVER_KEYS_FILE: await file(
      "keys.json",
      Object.fromEntries(tenants.map(({ name, key }) => [key, name])),
    ),
  };
  output.note(styled("faint", "Starting the product in a temporary folder …"));
  const flags = options.flags ?? config.flagsFrom ?? undefined;
  const dataDir = join(folder, "data");
  const product = await DemoProduct.start({ dataDir, flags, environment, clock, signal });
  opened.add("product", () => product.stop(), stopMs);
  const browser = await openPictures(options, config.chromium, product.origin);
  if (browser !== null) opened.add("browser", () => browser.close(), 3000);
  const seed = 20_261_121;
  const load = { origin: product.origin, tenants, perSecond, concurrencyMax, seed };
  const traffic = new Traffic(load);
  opened.add("callers", () => traffic.end(), 2000);
  return {
    ...{ operation, breakAt, short, product, traffic },
    infoPerSecond: perSecond.info,
    infoPerSecondMin,
    tenants: tenantsCount,
    pictures: browser,
    walkUntilMs: startedMs + walkSeconds * 1000,
    pause: options.pause === true ? (what) => enter(context, what) : null,
  };
}

async function shortPlan(context: CommandContext, holdSeconds: number): Promise<ShortenedPlan> {
  const config = context.config();
  const plan = (await readPlan(config)).of(operation, "read");
  const policy = await readGuardPolicy(config.guardPolicyFile);
  return shortenPlan(plan, policy, { holdSeconds, calmSeconds });
}

/** The last stage, or the one that was named. */
function stageToBreak({ stages }: ShortenedPlan, named: number | undefined): number {
  const shares = stages.map(({ percentage }) => percentage).filter((share) => share > 0);
  const share = named ?? shares.at(-1) ?? 100;
  if (shares.includes(share)) return share;
  throw usage(`${share} is no stage of the plan. Use one of: ${shares.join(", ")}.`);
}

function openPictures(
  { pictures }: DemoOptions,
  browser: string,
  origin: string,
): Promise<Pictures | null> {
  if (pictures === undefined) return Promise.resolve(null);
  return Pictures.open({ folder: resolve(pictures), origin, operation, browser });
}

/** Not in the repository and not in the demo's own folder, which goes away. */
function reportFile({ output }: DemoOptions, nowMs: number): string {
  const moment = new Date(nowMs).toISOString().replace(/[:.]/g, "-");
  return resolve(output ?? join(tmpdir(), `changeover-demo-report-${moment}.html`));
}

/** Waits for Enter. The terminal stays as it is, so that Ctrl-C is still what it always is. */
async function enter({ signal }: CommandContext, what: string): Promise<void> {
  const { stdin, stderr } = process;
  if (stdin.readableEnded) return;
  const lines = createInterface({ input: stdin, output: stderr, terminal: false });
  try {
    const closed = once(lines, "close", { signal });
    await Promise.race([lines.question(`  Press Enter: ${what} `, { signal }), closed]);
  } finally {
    lines.close();
  }
}
