import { describe, expect, it } from "vitest";
import type { TestUnleash } from "../../../support/unleash.ts";
import { inWorld, pause, risesAfter, until, viewsOf } from "../fleet-world.ts";
import { UnleashProxy } from "../unleash-proxy.ts";

/** Short, so that a test need not wait half a minute for flags to become stale. */
const staleMs = 5000;

/** Unleash is away, or worse. */
export function unleashDays(unleash: () => TestUnleash): void {
  describe("a bad day of Unleash", () => {
    it.concurrent.each(["down", "500", "hangs", "refuses"] as const)(
      "at boot (%s): legacy serves, it is said, and the flags are taken over without a restart",
      (trouble) =>
        inWorld(unleash(), async (world) => {
          const proxy = await UnleashProxy.to(world.unleashUrl);
          proxy.trouble = trouble;
          await world.control.setPercentage(world.operation, 50, { by: "ana", reason: "a test" });
          const instance = await world.start("a", { unleashUrl: proxy.url });
          await until("calls are served", async () => (await instance.view()).calls.legacy > 20);
          await until("it is said", async () => {
            const { flags } = await instance.view();
            return flags.state === "never" && flags.problems.length > 0;
          });
          const view = await instance.view();
          expect(view.exposures).toEqual([{ atMs: expect.any(Number), keys: 0 }]);
          expect(view.calls.candidate + view.harmed).toBe(0);
          proxy.trouble = null;
          await until("the flags are taken over", async () => {
            const { exposed, flags } = await instance.view();
            return exposed > 0 && flags.state === "fresh" && flags.problems.length === 0;
          });
          await proxy.close();
        }),
    );

    it.concurrent.each(["down", "500", "hangs", "refuses", "database-down"] as const)(
      "while it runs (%s): nothing rises, a fault still rolls everybody back, and the flag follows",
      (trouble) =>
        inWorld(unleash(), async (world) => {
          const proxy = await UnleashProxy.to(world.unleashUrl);
          const instances = await world.startAll(2, { unleashUrl: proxy.url, staleMs });
          await world.expose(50);
          const sinceMs = Date.now();
          proxy.trouble = trouble;
          await pause(1500);
          await Promise.all(instances.map((each) => each.ask("break", true)));
          await until("every key is on legacy", async () =>
            (await viewsOf(instances)).every(
              ({ exposed, latch }) => exposed === 0 && latch.tripped,
            ),
          );
          expect(await world.flagged()).toBe(50);
          if (trouble !== "database-down") {
            await until("the flags are called stale", async () =>
              (await viewsOf(instances)).every(
                ({ flags }) => flags.state === "stale" && flags.problems.length > 0,
              ),
            );
          }
          const during = await viewsOf(instances);
          expect(during.flatMap(({ rollbacks }) => rollbacks).join()).not.toContain("flag done");
          proxy.trouble = null;
          await until("the flag is off", async () => (await world.flagged()) === 0);
          await until("the flags are fresh", async () =>
            (await viewsOf(instances)).every(({ flags }) => flags.state === "fresh"),
          );
          const after = await viewsOf(instances);
          expect(after.flatMap((each) => risesAfter(each, sinceMs))).toEqual([]);
          expect(after.map(({ harmed }) => harmed)).toEqual([0, 0]);
          await proxy.close();
        }),
    );

    it.concurrent("for longer than flags may be old: everybody is on legacy until it is back", () =>
      inWorld(unleash(), async (world) => {
        const proxy = await UnleashProxy.to(world.unleashUrl);
        const instances = await world.startAll(2, { unleashUrl: proxy.url, staleMs });
        await world.expose(50);
        const [full] = await viewsOf(instances);
        const sinceMs = Date.now();
        proxy.trouble = "down";
        await until("every key is on legacy", async () =>
          (await viewsOf(instances)).every(({ exposed }) => exposed === 0),
        );
        const stale = await viewsOf(instances);
        expect(stale.flatMap((each) => risesAfter(each, sinceMs))).toEqual([]);
        expect(stale.map(({ latch }) => latch.tripped)).toEqual([false, false]);
        proxy.trouble = null;
        await until("the share is what it was", async () =>
          (await viewsOf(instances)).every(({ exposed }) => exposed === full?.exposed),
        );
        await proxy.close();
      }));

    it.concurrent("in which no flag can be written: a restart does not open what was rolled back, nor does re-arming", () =>
      inWorld(unleash(), async (world) => {
        const proxy = await UnleashProxy.to(world.unleashUrl);
        const instances = await world.startAll(2, { unleashUrl: proxy.url, mayLead: false });
        await world.expose(50);
        const sinceMs = Date.now();
        proxy.trouble = "read-only";
        await Promise.all(instances.map((each) => each.ask("break", true)));
        await until("every instance is latched", async () =>
          (await viewsOf(instances)).every(({ exposed, latch }) => exposed === 0 && latch.tripped),
        );
        // Its rollback is lost with it, and the flag goes on saying 50 %.
        const [a, b] = instances;
        await a?.kill();
        const again = await world.start("a", { unleashUrl: proxy.url, mayLead: false });
        const late = await world.start("late", { unleashUrl: proxy.url, mayLead: false });
        await until("they have read the flag", async () =>
          (await viewsOf([again, late])).every(({ flags }) => flags.percentage === 50),
        );
        for (const view of await viewsOf([again, late])) {
          expect(view.latch.tripped).toBe(true);
          expect(Math.max(...view.exposures.map(({ keys }) => keys))).toBe(0);
        }
        await until("the failure is told", async () => {
          const { rollbacks } = (await b?.view()) ?? { rollbacks: [] };
          return rollbacks.some((steps) => steps.includes("flag failed"));
        });
        expect(await world.flagged()).toBe(50);
        // A person re-arms in vain while the flag cannot be switched off.
        await again.ask("rearm", "too early");
        await pause(1500);
        for (const view of await viewsOf([again, late])) expect(view.exposed).toBe(0);
        proxy.trouble = null;
        await again.ask("rearm", "mended");
        await until("every instance is armed", async () =>
          (await viewsOf([again, late])).every(({ latch }) => !latch.tripped),
        );
        await pause(1500);
        expect(await world.flagged()).toBe(0);
        const running = b === undefined ? [again, late] : [b, again, late];
        for (const view of await viewsOf(running)) expect(risesAfter(view, sinceMs)).toEqual([]);
        await proxy.close();
      }));

    it.concurrent("on which a person switches the flag on during a rollback: nobody follows, and it is switched off again", () =>
      inWorld(unleash(), async (world) => {
        const instances = await world.startAll(2);
        await instances[0]?.ask("rollout", "start");
        await until("the rollout has begun", async () =>
          (await viewsOf(instances)).some(({ rollout }) => rollout.state === "running"),
        );
        const sinceMs = Date.now();
        const rolledBack = instances[0]?.ask("rollBack", "it looks bad");
        for (let turn = 0; turn < 3; turn += 1) {
          await world.meddle(50);
          await pause(300);
        }
        await rolledBack;
        await world.meddle(50);
        await until("the instances have seen the flag", async () =>
          (await viewsOf(instances)).some(({ flags }) => flags.percentage === 50),
        ).catch(() => undefined);
        await until("the flag is off for good", async () => {
          if ((await world.flagged()) > 0) return false;
          await pause(2500);
          return (await world.flagged()) === 0;
        });
        const views = await viewsOf(instances);
        for (const view of views) {
          expect(view.latch.tripped).toBe(true);
          expect(view.exposed).toBe(0);
          expect(risesAfter(view, sinceMs)).toEqual([]);
        }
        const journal = (await instances[1]?.ask("journal")) ?? [];
        expect(journal.map(({ why }) => why).join("\n")).toContain(
          "although the operation is rolled back",
        );
      }));
  });
}
