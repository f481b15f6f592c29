import { migrateConfiguredFleet } from "../../../app/fleet/migrate.ts";
import type { Command } from "../../context.ts";
import { sharedConfig, withOperator } from "../../session.ts";
import { styled, table } from "../../terminal/text.ts";

/** `changeover fleet migrate` */
export const migrateFleet: Command<unknown> = async (context) => {
  await migrateConfiguredFleet(await sharedConfig(context));
  return { answer: { value: { migrated: true }, lines: ["The fleet's tables are up to date."] } };
};

const noFleet = "No fleet is set up (CHANGEOVER_POSTGRES_URL): this process is the only one.";
const nobody =
  "No instance reported to the Postgres of CHANGEOVER_POSTGRES_URL in the last hour, or it cannot be read.";

/** `changeover fleet ls` */
export const listInstances: Command<unknown> = (context) =>
  withOperator(context, async (operator) => {
    const { instances } = await operator.snapshot();
    // A running instance would at least have reported itself.
    const alone = operator.live || (await sharedConfig(context)).postgresUrl === null;
    const heading = ["INSTANCE", "", "SEEN", "FLAGS", "REVISION", "LATCHED"];
    const rows = instances.map(({ instance, live, seenAt, flags, operations }) => {
      const latched = operations.filter((each) => each.latched).map((each) => each.operation);
      return [
        styled("name", instance),
        styled(live ? "good" : "bad", live ? "live" : "gone"),
        seenAt,
        `${flags.kind}, ${flags.state}`,
        flags.revision,
        latched.join(", "),
      ];
    });
    const lines =
      rows.length === 0
        ? [alone ? noFleet : nobody]
        : table([heading.map((title) => styled("strong", title)), ...rows]);
    return { answer: { value: instances, lines } };
  });
