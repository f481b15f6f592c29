import { describe, expect, it } from "vitest";
import type { TestUnleash } from "../../support/unleash.ts";
import { type FleetWorld, inWorld, shadowPlan, until, viewsOf } from "./fleet-world.ts";
import type { InstanceView } from "./protocol.ts";

/** Three instances, of which one leads, walk the plan on their own. */
export function planWalk(unleash: () => TestUnleash): void {
  describe("a rollout of three instances", () => {
    it.concurrent("of a write walks 0, 1, 10, 50, 95 and 100 % by its gates", () =>
      inWorld(unleash(), async (world) => {
        const instances = await world.startAll(3, { kind: "write" });
        await Promise.all(instances.map((each) => each.ask("load", 300)));
        const seen = await walkTo("complete", world);
        expect(seen).toEqual([0, 1, 10, 50, 95, 100]);
        const views = await viewsOf(instances);
        // The last write was a second ago at most: each sees it by itself.
        await until("every key is on the candidate everywhere", async () =>
          (await viewsOf(instances)).every(({ exposed }) => exposed === 64),
        );
        expect(views.filter(({ rollout }) => rollout.leads)).toHaveLength(1);
        expect(views.reduce((sum, { harmed }) => sum + harmed, 0)).toBe(0);
        const [first] = instances;
        const steps = (await first?.ask("journal"))
          ?.filter(({ kind, evidence }) => kind === "rollout" && evidence["step"] === "raise")
          .map(({ from, to }) => `${from} to ${to}`);
        expect(steps).toEqual([
          "0 % to 1 %",
          "1 % to 10 %",
          "10 % to 50 %",
          "50 % to 95 %",
          "95 % to 100 %",
        ]);
      }));

    it.concurrent("of a read begins in the shadow, and ends at 0 % when the candidate breaks at 50 %", () =>
      inWorld(
        unleash(),
        async (world) => {
          const instances = await world.startAll(3);
          await Promise.all(instances.map((each) => each.ask("load", 300)));
          const seen = await walkTo("50 %", world);
          expect(seen).toEqual([0, 1, 10, 50]);
          const brokenAtMs = Date.now();
          await Promise.all(instances.map((each) => each.ask("break", true)));
          await until("it is rolled back", async () => {
            const views = await viewsOf(instances);
            return views.every(
              ({ exposed, rollout }) => exposed === 0 && rollout.state === "rolled-back",
            );
          });
          await until("the flag is off", async () => (await world.flagged()) === 0);
          const views = await viewsOf(instances);
          expect(views.reduce((sum, { harmed }) => sum + harmed, 0)).toBe(0);
          const last = Math.max(...views.map(({ exposures }) => exposures.at(-1)?.atMs ?? 0));
          console.log(
            `a fault at 50 % in the walk: every key on legacy ${last - brokenAtMs} ms later`,
          );
        },
        shadowPlan,
      ));
  });
}

/** The percentages that Unleash was seen at until the rollout is `complete`, or stands at a percentage. */
async function walkTo(end: "complete" | "50 %", world: FleetWorld): Promise<readonly number[]> {
  const seen: number[] = [];
  const startedAtMs = Date.now();
  const [first] = world.instances;
  await first?.ask("rollout", "start");
  const arrived = ({ rollout, flags }: InstanceView): boolean =>
    end === "complete"
      ? rollout.state === end
      : flags.percentage === 50 && rollout.percentage === 50;
  await until(
    `the rollout is at ${end}`,
    async () => {
      const percentage = await world.flagged();
      if (seen.at(-1) !== percentage) seen.push(percentage);
      return (await viewsOf(world.instances)).every(arrived);
    },
    120_000,
  );
  console.log(`${seen.join(", ")} % within ${((Date.now() - startedAtMs) / 1000).toFixed(1)} s`);
  return seen;
}
