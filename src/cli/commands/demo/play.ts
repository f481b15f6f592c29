import { availableParallelism, loadavg } from "node:os";
import { reportHtml } from "../../../app/report/html.ts";
import { makeReport, type ToldStep } from "../../../app/report/report.ts";
import type { TrafficSample } from "../../../app/report/traffic-chart.ts";
import type { ShortenedPlan } from "../../../app/rollout/shortened-plan.ts";
import { sleep, type Timer } from "../../../base/clock.ts";
import type { CommandContext } from "../../context.ts";
import { writeNewFile } from "../../process/new-file.ts";
import { type Span, styled, textOf } from "../../terminal/text.ts";
import type { PictureName, Pictures } from "./pictures.ts";
import type { DemoProduct } from "./product.ts";
import type { DemoStory, RollbackTale, TrafficTale } from "./story.ts";
import { ratesText, rollbackTexts, stageText, trafficTexts, waitText } from "./telling.ts";
import { ratesBetween, sum, type TrafficCounts } from "./traffic/counts.ts";
import type { Traffic } from "./traffic/traffic.ts";
import { DemoWalk } from "./walk.ts";

/** Everything that a demo is played with. */
export interface DemoSettings {
  readonly operation: string;
  readonly breakAt: number;
  readonly short: ShortenedPlan;
  readonly product: DemoProduct;
  readonly traffic: Traffic;
  readonly tenants: number;
  /** Look-ups in a second that are aimed at, and how many there should be at least. */
  readonly infoPerSecond: number;
  readonly infoPerSecondMin: number;
  /** When the walk must be over, by the monotonic clock. */
  readonly walkUntilMs: number;
  /** Null: none are taken. */
  readonly pictures: Pictures | null;
  /** Waits for a person; null: nobody is waited for. */
  readonly pause: ((what: string) => Promise<void>) | null;
}

/** What came of it, and its report, as long as the product runs. */
export interface Played {
  readonly story: DemoStory;
  /** Writes the report into a new file, and answers with its path. */
  readonly writeReport: (file: string) => Promise<string>;
}

/** Milliseconds of traffic before the rollout begins. */
const beforeMs = 5000;
const sampleEveryMs = 1000;

/** Plays the demo from the first call to the last, and tells each step. */
export async function play(context: CommandContext, settings: DemoSettings): Promise<Played> {
  const stage = new Stage(context, settings);
  try {
    return await stage.play();
  } finally {
    stage.close();
  }
}

class Stage {
  readonly #context: CommandContext;
  readonly #settings: DemoSettings;
  readonly #startedMs: number;
  readonly #told: ToldStep[] = [];
  readonly #samples: TrafficSample[] = [];
  #first: TrafficCounts | null = null;
  #before: TrafficCounts | null = null;
  #sampled: TrafficCounts | null = null;
  #picture: Promise<void> | null = null;
  #timer: Timer | null = null;

  constructor(context: CommandContext, settings: DemoSettings) {
    this.#context = context;
    this.#settings = settings;
    this.#startedMs = context.clock.monotonicMs();
  }

  async play(): Promise<Played> {
    const { breakAt, operation, product, traffic, tenants, walkUntilMs, short } = this.#settings;
    await this.#context.output.say(["Watch it live: ", styled("name", `${product.origin}/`)], "");
    await this.#tell(
      `${tenants} tenants store a file each, from 350 bytes to 3 MB. Each tenant stays on one path, so a share is one of tenants, and of calls only about that.`,
    );
    await this.#unlessStopped(traffic.seeded());
    await this.#begin();
    const walk = this.#walk();
    const waitedMs = await this.#pause("the rollout begins");
    await walk.start();
    const shares = short.stages.map(({ percentage }) => percentage).join(" › ");
    await this.#tell(`The rollout of ${operation} begins: ${shares} %, by the plan's own gates.`);
    const { stuck, early } = await walk.untilBreak(walkUntilMs + waitedMs);
    await this.#picture;
    let rollback: RollbackTale | null = null;
    if (stuck === null) {
      await this.#shoot("healthy");
      await this.#pause("the candidate breaks");
      const share = walk.stages.at(-1)?.percentage ?? breakAt;
      if (early !== null) await this.#tell(`${early} So it breaks here, not at ${breakAt} %.`);
      await this.#tell(`At ${share} % the candidate breaks: 30 % of its calls fail from now on.`);
      rollback = await walk.breakAndWatch(() => this.#shoot("rolled-back"));
      for (const text of rollback === null ? [] : rollbackTexts(rollback)) {
        await this.#tell(text, "good");
      }
      await walk.mend();
    }
    this.#timer?.cancel();
    const last = await this.#unlessStopped(traffic.stop());
    const story = {
      ...{ operation, breakAt, stuck, early, rollback, stages: walk.stages },
      flagsFrom: (await product.operator.snapshot()).flags.kind,
      traffic: this.#trafficOf(last),
    };
    // The terminal says it at the end; the report has to have it, too.
    for (const text of story.traffic === null ? [] : trafficTexts(story.traffic)) this.#note(text);
    return { story, writeReport: (file) => this.#write(file) };
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** Milliseconds that a person was waited for: they are not the demo's. */
  async #pause(what: string): Promise<number> {
    const { clock } = this.#context;
    const beganMs = clock.monotonicMs();
    await this.#settings.pause?.(what);
    return clock.monotonicMs() - beganMs;
  }

  async #begin(): Promise<void> {
    const { clock, signal } = this.#context;
    const { traffic } = this.#settings;
    traffic.begin();
    this.#timer = clock.every(sampleEveryMs, () => this.#sample());
    await sleep(clock, beforeMs, signal, true);
    this.#first = traffic.counts;
    await sleep(clock, beforeMs, signal, true);
    await this.#tell(`Traffic flows, all of it on legacy: ${this.#rates()}.`);
  }

  #walk(): DemoWalk {
    const { operation, breakAt, product, traffic, short } = this.#settings;
    const { clock, signal } = this.#context;
    const shares = short.stages.map(({ percentage }) => percentage);
    const midway = shares[shares.indexOf(breakAt) - 1];
    return new DemoWalk({
      ...{ operation, breakAt, clock, signal },
      operator: product.operator,
      counts: () => traffic.counts,
      told: {
        entered: async ({ expectedPercentage, stages, stage }) => {
          const shadow = stages[stage ?? 0]?.shadowPercentage ?? 0;
          await this.#tell(
            `Now ${expectedPercentage ?? 0} % on the candidate, ${shadow} % in the shadow.`,
          );
        },
        waiting: async ({ expectedPercentage, gates }) => {
          const open = gates.filter(({ state }) => state !== "passed");
          const waits = open.map(({ sentence }) => sentence).join(" ");
          await this.#tell(`${expectedPercentage ?? 0} %: ${this.#rates()}. ${waits}`, "faint");
          if (expectedPercentage === midway) this.#midway();
        },
        left: (tale) => this.#tell(stageText(tale)),
      },
    });
  }

  /** What was seen since the last such line, in words. */
  #rates(): string {
    const { counts } = this.#settings.traffic;
    const from = this.#before ?? this.#first;
    this.#before = counts;
    if (from === null || counts === null) return "no calls yet";
    return `${ratesText(ratesBetween(from, counts))}${waitText(counts)}`;
  }

  #sample(): void {
    const { counts } = this.#settings.traffic;
    const before = this.#sampled;
    this.#sampled = counts;
    if (counts === null || before === null || counts.atMs <= before.atMs) return;
    const { legacy, candidate, fellBack } = ratesBetween(before, counts);
    this.#samples.push({ at: new Date(counts.atMs).toISOString(), legacy, candidate, fellBack });
  }

  /** A picture beside the walk, which does not wait for it. */
  #midway(): void {
    this.#picture ??= this.#shoot("mid-rollout").catch(() => undefined);
  }

  async #shoot(name: PictureName): Promise<void> {
    const { pictures } = this.#settings;
    try {
      if (pictures !== null) await this.#unlessStopped(pictures.take(name));
    } catch (error) {
      this.#context.signal.throwIfAborted();
      this.#context.output.error(error, `picture ${name}`);
    }
  }

  /** What cannot be stopped itself is waited for no longer once the user wants to stop. */
  async #unlessStopped<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#context;
    const { promise, reject } = Promise.withResolvers<never>();
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    try {
      return await Promise.race([work, promise]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #tell(text: string, style?: "good" | "faint"): Promise<void> {
    const { clock, output } = this.#context;
    const seconds = Math.round((clock.monotonicMs() - this.#startedMs) / 1000);
    const span: Span = style === undefined ? text : styled(style, text);
    await output.say([styled("faint", `[${String(seconds).padStart(3)} s] `), span]);
    this.#note(textOf(span));
  }

  #note(text: string): void {
    this.#told.push({ at: new Date(this.#context.clock.now()).toISOString(), text });
  }

  #trafficOf(last: TrafficCounts | null): TrafficTale | null {
    const first = this.#first;
    if (first === null || last === null) return null;
    const { calls, notMade, fileBytes, fellBack, harmed, examples } = last;
    if (sum(calls) === 0) return null;
    const rates = ratesBetween(first, last);
    return {
      seconds: Math.round((last.atMs - first.atMs) / 100) / 10,
      infoPerSecondAimed: this.#settings.infoPerSecond,
      infoPerSecond: Math.round(rates.info * 10) / 10,
      infoPerSecondMin: this.#settings.infoPerSecondMin,
      machine: { load: loadavg()[0] ?? 0, cores: availableParallelism() },
      ...{ calls, notMade, fileBytes, fellBack, harmed, examples },
    };
  }

  async #write(file: string): Promise<string> {
    const { operation, product, short } = this.#settings;
    const { operator } = product;
    const { operations } = await operator.snapshot();
    const now = operations.find(({ name }) => name === operation);
    if (now === undefined) throw new RangeError(`There is no operation ${operation}.`);
    const at = new Date(this.#context.clock.now()).toISOString();
    const first = this.#told[0]?.at ?? at;
    const report = makeReport({
      ...{ operation, at, now, traffic: this.#samples },
      entries: await operator.journal({ operation, limit: 1000 }),
      mismatches: await operator.mismatches(),
      told: [...short.changes.map((text) => ({ at: first, text })), ...this.#told],
    });
    await writeNewFile(file, reportHtml(report));
    return file;
  }
}
