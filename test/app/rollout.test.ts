import { writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { readConfig } from "../../src/app/config.ts";
import { openRollout, readPlan } from "../../src/app/rollout/open-rollout.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { type Changeover, createChangeover, staticFlags } from "../../src/changeover.ts";
import type { RolloutController } from "../../src/rollout/controller/controller.ts";
import { eachTestFolder } from "../support/test-folder.ts";

const name = "shop.resize";
const ann = { by: "ann", reason: "a test" };
const policy = { memory: { enabled: false } };

const folder = eachTestFolder();

/** One operation with its real guard, and calls by the second. */
class Shop {
  readonly clock: ManualClock;
  readonly changeover: Changeover;
  failing = false;
  readonly #call: (input: number, options: { key: string }) => Promise<string>;
  #calls = 0;

  private constructor(changeover: Changeover, clock: ManualClock) {
    this.changeover = changeover;
    this.clock = clock;
    this.#call = changeover.migrate<number, string>({
      name,
      kind: "read",
      legacy: async () => "picture",
      candidate: async () => {
        if (this.failing) throw new Error("broken");
        return "picture";
      },
    });
  }

  static async open(): Promise<Shop> {
    const clock = new ManualClock();
    const flags = staticFlags({ [name]: 0 });
    return new Shop(await createChangeover({ clock, flags, guard: policy }), clock);
  }

  controller(): Promise<RolloutController> {
    const { changeover, clock } = this;
    const config = readConfig({
      CHANGEOVER_DATA_DIR: folder.path,
      CHANGEOVER_ROLLOUT_PLAN: folder.in("plan.json"),
    });
    const rest = { policy, logger: silentLogger, mayLead: true };
    return openRollout({ config, changeover, clock, ...rest });
  }

  get percentage(): number {
    return this.changeover.flags.state(name)?.percentage ?? 0;
  }

  async second(controller: RolloutController): Promise<void> {
    this.clock.advance(1000);
    for (let call = 0; call < 20; call += 1) {
      this.#calls += 1;
      await this.#call(call, { key: `key-${this.#calls}` }).catch(() => undefined);
    }
    await controller.tick();
  }

  async until(controller: RolloutController, done: () => boolean): Promise<void> {
    for (let second = 0; second < 900 && !done(); second += 1) await this.second(controller);
    if (!done()) throw new Error(controller.status(name).why);
  }
}

describe("a rollout with the real guard, on files", () => {
  it("walks by what the guard sees, survives a restart, and ends where the guard ends it", async () => {
    const stages = [0, 10, 50, 100].map((percentage) => ({
      percentage,
      holdSeconds: 30,
      samples: percentage === 0 ? 0 : 60,
    }));
    await writeFile(
      folder.in("plan.json"),
      JSON.stringify({ profile: "quick", profiles: { quick: stages } }),
    );
    const shop = await Shop.open();
    const first = await shop.controller();
    await first.command("start", name, ann);
    await shop.until(first, () => shop.percentage === 10);
    const { samples } = first.status(name);
    expect(samples).toBe(0);
    await shop.until(first, () => (first.status(name).samples ?? 0) >= 30);
    await first.close();
    const second = await shop.controller();
    await second.tick();
    expect(second.status(name)).toMatchObject({ state: "running", stage: 1 });
    expect(second.status(name).samples).toBeGreaterThanOrEqual(30);
    await shop.until(second, () => shop.percentage === 50);
    shop.failing = true;
    await shop.until(second, () => second.status(name).state === "rolled-back");
    expect(shop.percentage).toBe(0);
    expect(second.status(name).why).toMatch(/^Rolled back: /);
    await second.close();
    const third = await shop.controller();
    for (let seconds = 0; seconds < 100; seconds += 1) await shop.second(third);
    expect([shop.percentage, third.status(name).state]).toEqual([0, "rolled-back"]);
    await third.close();
    await shop.changeover.close();
  });
});

describe("the rollout plan of a configuration", () => {
  it("is the one beside the flags, or the built-in one where there is none", async () => {
    const plan = await readPlan({ rolloutPlanFile: null, flagsDir: "flags" });
    expect(plan.of("files.upload", "write").after.length).toBeGreaterThan(0);
    const builtIn = await readPlan({ rolloutPlanFile: null, flagsDir: folder.path });
    expect(builtIn.of("files.upload", "write")).toMatchObject({ name: "strict", after: [] });
  });

  it("that was named must be there, and be one", async () => {
    const file = folder.in("plan.json");
    const read = (): Promise<unknown> => readPlan({ rolloutPlanFile: file, flagsDir: folder.path });
    await expect(read()).rejects.toMatchObject({ code: "ROLLOUT_INVALID_PLAN" });
    for (const text of ["{", '{"colour":"red"}']) {
      await writeFile(file, text);
      await expect(read()).rejects.toMatchObject({ code: "ROLLOUT_INVALID_PLAN" });
    }
  });
});
