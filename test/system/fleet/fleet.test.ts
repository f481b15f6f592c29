import { afterAll, beforeAll, describe } from "vitest";
import { startTestUnleash, type TestUnleash } from "../../support/unleash.ts";
import { controllerDays } from "./bad-days/controller.ts";
import { postgresDays } from "./bad-days/postgres.ts";
import { unleashDays } from "./bad-days/unleash.ts";
import { planWalk } from "./plan-walk.ts";
import { rollbackTimes } from "./rollback-times.ts";

const enabled = process.env["CHANGEOVER_SYSTEM"] === "1";

// One file, so that Unleash, which takes 10 to 20 s to boot, is booted once.
describe.skipIf(!enabled)("a fleet on a real Unleash and Postgres (CHANGEOVER_SYSTEM=1)", () => {
  let unleash: TestUnleash;

  beforeAll(async () => {
    unleash = await startTestUnleash();
  }, 120_000);
  afterAll(() => unleash?.close());

  const started = (): TestUnleash => unleash;
  rollbackTimes(started);
  planWalk(started);
  unleashDays(started);
  postgresDays(started);
  controllerDays(started);
});
