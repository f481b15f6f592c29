import { describe, expect, it } from "vitest";
import type { TestUnleash } from "../../../support/unleash.ts";
import { firstStepPlan, inWorld, pause, risesAfter, until, viewsOf } from "../fleet-world.ts";

/** How often a stage change races a rollback. */
const races = Number(process.env["CHANGEOVER_FLEET_RACES"] ?? 6);

/** Whoever leads the rollouts dies, freezes, or is overtaken. */
export function controllerDays(unleash: () => TestUnleash): void {
  describe("a bad day of whoever leads the rollout", () => {
    it.concurrent.each([
      "announced",
      "journalled",
      "flag-read",
      "flag-written",
      "entered",
    ] as const)(
      "killed in the step from 0 to 1 % (%s): the next one settles it, and goes on",
      (at) =>
        inWorld(
          unleash(),
          async (world) => {
            const stop = { at, to: 1, by: "SIGKILL" } as const;
            const first = await world.start("a", { stop });
            await until("it leads", async () => (await first.view()).rollout.leads);
            const next = await world.start("b");
            await next.ask("rollout", "start");
            await first.gone();
            const left = await world.flagged();
            expect(left).toBe(at === "flag-written" || at === "entered" ? 1 : 0);
            await until("the next one leads and is at 1 %", async () => {
              const { rollout } = await next.view();
              return rollout.leads && rollout.percentage === 1 && (await world.flagged()) === 1;
            });
            const told = (await next.ask("journal")).map(({ why }) => why).join("\n");
            if (at === "flag-written") expect(told).toContain("was made late; back to 0 %");
            else if (at !== "entered") expect(told).toContain("was announced and not made");
            const { exposures } = await next.view();
            // Never more than 1 % of the keys: one of 64 or two.
            expect(Math.max(...exposures.map(({ keys }) => keys))).toBeLessThanOrEqual(3);
          },
          firstStepPlan,
        ),
    );

    it.concurrent.each(["journalled", "flag-read", "flag-written"] as const)(
      "frozen in the step to 1 % (%s) and woken after its lease: the lower state holds",
      (at) =>
        inWorld(
          unleash(),
          async (world) => {
            const stop = { at, to: 1, by: "SIGSTOP" } as const;
            const first = await world.start("a", { stop });
            await until("it leads", async () => (await first.view()).rollout.leads);
            const next = await world.start("b");
            await next.ask("rollout", "start");
            await until("the next one leads", async () => (await next.view()).rollout.leads);
            await next.ask("rollout", "pause");
            await until("the step is taken back", async () => (await world.flagged()) === 0);
            // It was the only one that went by its own flags; it still believes that it leads.
            first.wake();
            await pause(6000);
            expect(await world.flagged()).toBe(0);
            const [woken, leader] = await viewsOf([first, next]);
            expect(leader?.rollout).toMatchObject({ leads: true, percentage: 0 });
            expect(woken?.rollout).toMatchObject({ leads: false, percentage: 0 });
            expect([woken?.exposed, leader?.exposed]).toEqual([0, 0]);
          },
          firstStepPlan,
        ),
    );

    it.concurrent("frozen in the step to 1 %, and woken after a rollback: the flag stays off", () =>
      inWorld(
        unleash(),
        async (world) => {
          const stop = { at: "flag-read", to: 1, by: "SIGSTOP" } as const;
          const first = await world.start("a", { stop });
          await until("it leads", async () => (await first.view()).rollout.leads);
          const next = await world.start("b");
          await next.ask("rollout", "start");
          await until("the next one leads", async () => (await next.view()).rollout.leads);
          await next.ask("rollBack", "it looks bad");
          const sinceMs = Date.now();
          first.wake();
          await until("it hears of the rollback", async () => (await first.view()).latch.tripped);
          await pause(4000);
          expect(await world.flagged()).toBe(0);
          for (const view of await viewsOf([first, next])) {
            expect(view.rollout.state).toBe("rolled-back");
            expect(view.exposed).toBe(0);
            expect(risesAfter(view, sinceMs)).toEqual([]);
          }
        },
        firstStepPlan,
      ));

    it.concurrent(
      "whose step races a rollback by another instance: the rollback wins each time",
      () =>
        inWorld(
          unleash(),
          async (world) => {
            const stop = { at: "journalled", to: 1, by: "telling" } as const;
            const first = await world.start("a", { stop, leaseTtlMs: 10_000 });
            await until("it leads", async () => (await first.view()).rollout.leads);
            const other = await world.start("b", { leaseTtlMs: 10_000 });
            for (let race = 0; race < races; race += 1) {
              const reached = first.reached();
              await first.ask("rollout", "start");
              await reached;
              // Spread over the time that the step takes.
              await pause((race * 37) % 150);
              await other.ask("rollBack", `race ${race}`);
              const sinceMs = Date.now();
              await until("both know of the rollback", async () =>
                (await viewsOf([first, other])).every(
                  ({ rollout, latch }) => latch.tripped && rollout.state === "rolled-back",
                ),
              );
              await pause(1500);
              expect(await world.flagged()).toBe(0);
              const views = await viewsOf([first, other]);
              for (const view of views) {
                expect(view.exposed).toBe(0);
                expect(risesAfter(view, sinceMs)).toEqual([]);
              }
              for (const each of [first, other]) await each.ask("rearm", "the next race");
              await until("both are armed", async () =>
                (await viewsOf([first, other])).every(({ latch }) => !latch.tripped),
              );
            }
            console.log(`${races} races of a step and a rollback; the flag was off after each`);
          },
          firstStepPlan,
        ),
      races * 20_000 + 60_000,
    );

    it.concurrent("without Prometheus, where it was to count by it: it holds at 1 %, and says so", () =>
      inWorld(unleash(), async (world) => {
        // A port that nobody listens on.
        const [a] = await world.startAll(2, { prometheusUrl: "http://127.0.0.1:9" });
        await a?.ask("rollout", "start");
        await until("it is at 1 %", async () => (await world.flagged()) === 1);
        await until("it says so", async () =>
          ((await a?.view())?.rollout.gates ?? []).some((gate) =>
            gate.startsWith("verdict holding: blind"),
          ),
        );
        await pause(4000);
        expect(await world.flagged()).toBe(1);
      }));
  });
}
