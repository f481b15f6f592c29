import { describe, expect, it } from "vitest";
import { Cable } from "../../../postgres/cable.ts";
import type { TestUnleash } from "../../../support/unleash.ts";
import { inWorld, pause, risesAfter, until, viewsOf } from "../fleet-world.ts";
import { UnleashProxy } from "../unleash-proxy.ts";

/** Postgres is away, or one instance is away from everything. */
export function postgresDays(unleash: () => TestUnleash): void {
  describe("a bad day of Postgres", () => {
    it.concurrent.each(["cut", "hung"] as const)(
      "(%s): each instance latches by itself, and the fleet follows when it is back",
      (state) =>
        inWorld(unleash(), async (world) => {
          const cable = await Cable.to(world.databaseUrl);
          const postgresUrl = cable.through(world.databaseUrl);
          const instances = await world.startAll(3, { postgresUrl });
          await world.expose(50);
          const sinceMs = Date.now();
          cable.state = state;
          await until("it is said", async () =>
            (await viewsOf(instances)).every(
              ({ log, fleetConnected }) =>
                !fleetConnected &&
                log.some((line) => line.startsWith("The fleet cannot be reached")),
            ),
          );
          const before = await viewsOf(instances);
          await Promise.all(instances.map((each) => each.ask("break", true)));
          await until("every key is on legacy", async () =>
            (await viewsOf(instances)).every(
              ({ exposed, latch }) => exposed === 0 && latch.tripped,
            ),
          );
          expect(await world.flagged()).toBe(50);
          const during = await viewsOf(instances);
          for (const [index, { calls }] of during.entries()) {
            expect(calls.legacy).toBeGreaterThan(before[index]?.calls.legacy ?? 0);
          }
          cable.state = "whole";
          await until("the flag is off", async () => (await world.flagged()) === 0);
          await until("everybody is connected again", async () =>
            (await viewsOf(instances)).every(({ fleetConnected }) => fleetConnected),
          );
          // What happened while nobody could be told is on record: each instance's own rollback. The quorum's
          // has an entry of its own, unless it joined one that still waited for Postgres.
          await until("the journal is complete", async () => {
            const entries = (await instances[0]?.ask("journal")) ?? [];
            return entries.filter(({ kind }) => kind === "rollback").length >= 3;
          });
          for (const view of await viewsOf(instances)) {
            expect(risesAfter(view, sinceMs)).toEqual([]);
            expect(view.harmed).toBe(0);
          }
          await cable.close();
        }),
    );

    it.concurrent("at boot: legacy serves, and the flags are followed after a while", () =>
      inWorld(unleash(), async (world) => {
        const cable = await Cable.to(world.databaseUrl);
        cable.state = "cut";
        await world.control.setPercentage(world.operation, 50, { by: "ana", reason: "a test" });
        const postgresUrl = cable.through(world.databaseUrl);
        const instance = await world.start("a", { postgresUrl });
        await until("calls are served", async () => (await instance.view()).calls.legacy > 20);
        await until("the flags are followed", async () => (await instance.view()).exposed > 0);
        expect((await instance.view()).log.join("\n")).toContain("latches cannot be read");
        // Somebody else rolls the fleet back meanwhile.
        const other = await world.start("b");
        await other.ask("rollBack", "it looks bad");
        await until(
          "the flag reaches who is cut off",
          async () => (await instance.view()).exposed === 0,
        );
        cable.state = "whole";
        await until("so does the latch", async () => (await instance.view()).latch.tripped);
        await cable.close();
      }));

    it.concurrent("for a rollout: it stands still, says so, and goes on when it is back", () =>
      inWorld(unleash(), async (world) => {
        const cable = await Cable.to(world.databaseUrl);
        const postgresUrl = cable.through(world.databaseUrl);
        const [a] = await world.startAll(2, { postgresUrl });
        await a?.ask("rollout", "start");
        await until("it is at 1 %", async () => (await world.flagged()) === 1);
        cable.state = "cut";
        await until("it says so", async () =>
          ((await a?.view())?.rollout.why ?? "").includes("cannot be reached"),
        );
        await pause(3000);
        expect(await world.flagged()).toBe(1);
        cable.state = "whole";
        await until("it goes on", async () => (await world.flagged()) >= 10, 90_000);
        await cable.close();
      }));
  });

  describe("a bad day of one instance", () => {
    it.concurrent("of 8, cut off from Postgres and Unleash: it goes to legacy by itself, and is latched when it is back", () =>
      inWorld(unleash(), async (world) => {
        const cable = await Cable.to(world.databaseUrl);
        const proxy = await UnleashProxy.to(world.unleashUrl);
        const seven = await world.startAll(7);
        const postgresUrl = cable.through(world.databaseUrl);
        const lonely = await world.start("h", {
          postgresUrl,
          unleashUrl: proxy.url,
          staleMs: 6000,
        });
        // It must not find out by itself.
        await lonely.ask("load", 1);
        await world.expose(50);
        const sinceMs = Date.now();
        cable.state = "cut";
        proxy.trouble = "down";
        await Promise.all(seven.map((each) => each.ask("break", true)));
        await until("the seven are on legacy, and the flag is off", async () => {
          const views = await viewsOf(seven);
          return views.every(({ exposed }) => exposed === 0) && (await world.flagged()) === 0;
        });
        await until("so is the eighth, because its flags are stale", async () => {
          const { exposed, flags } = await lonely.view();
          return exposed === 0 && flags.state === "stale";
        });
        expect((await lonely.view()).fleetConnected).toBe(false);
        cable.state = "whole";
        proxy.trouble = null;
        await until("it is latched", async () => {
          const { latch, flags } = await lonely.view();
          return latch.tripped && flags.state === "fresh";
        });
        for (const view of await viewsOf(world.instances)) {
          expect(risesAfter(view, sinceMs)).toEqual([]);
          expect(view.harmed).toBe(0);
        }
        await Promise.all([cable.close(), proxy.close()]);
      }));

    it.concurrent.each([300_000, -300_000])(
      "of 3, whose clock is %i ms off: the rollout walks under its lead, and the quorum counts",
      (clockAheadMs) =>
        inWorld(unleash(), async (world) => {
          const wrong = await world.start("a", { clockAheadMs });
          await until("it leads", async () => (await wrong.view()).rollout.leads);
          await world.start("b");
          await world.start("c");
          await Promise.all(world.instances.map((each) => each.ask("load", 150)));
          await wrong.ask("rollout", "start");
          await until("it is at 10 %", async () => (await world.flagged()) >= 10, 90_000);
          expect((await wrong.view()).rollout.leads).toBe(true);
          await Promise.all(world.instances.map((each) => each.ask("break", true)));
          await until("everybody is on legacy, and the flag is off", async () => {
            const views = await viewsOf(world.instances);
            return views.every(({ exposed }) => exposed === 0) && (await world.flagged()) === 0;
          });
          const settledMs = Date.now();
          await pause(2500);
          for (const view of await viewsOf(world.instances)) {
            expect(view.latch.tripped).toBe(true);
            expect(risesAfter(view, settledMs)).toEqual([]);
          }
        }),
    );
  });
}
