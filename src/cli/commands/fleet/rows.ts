import type { CommandRow } from "../../command/command-row.ts";

/** Commands about the instances that share a Postgres. */
export const fleetRows: readonly CommandRow[] = [
  {
    name: "fleet ls",
    byDefault: true,
    meaning: "Show every instance, its flags' revision and what it has latched",
    examples: ["changeover fleet"],
    load: async () => (await import("./fleet.ts")).listInstances,
  },
  {
    name: "fleet migrate",
    meaning: "Make or update the fleet's tables in the Postgres of CHANGEOVER_POSTGRES_URL",
    examples: ["changeover fleet migrate"],
    load: async () => (await import("./fleet.ts")).migrateFleet,
  },
];
