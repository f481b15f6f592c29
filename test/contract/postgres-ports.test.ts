import { afterAll, beforeAll, beforeEach } from "vitest";
import { FleetDatabase } from "../postgres/database.ts";
import { journalContract } from "./journal.ts";
import { leaseContract } from "./lease.ts";
import { rolloutStoreContract } from "./rollout-store.ts";

let database: FleetDatabase;
beforeAll(async () => {
  database = await FleetDatabase.open();
});
beforeEach(() => database.reset());
afterAll(() => database?.close());

/** The rows' time moves towards the database's instead of the other way round. */
const pass = async (ms: number): Promise<void> => {
  await database.sql(
    "UPDATE changeover.leases SET expires_at = expires_at - $1 * interval '1 millisecond'",
    [ms],
  );
};

journalContract("in Postgres", async () => (await database.ports("a")).journal);

leaseContract("in Postgres", async () => {
  // So long that no slow machine ever lets it expire by itself.
  const all = await Promise.all(
    ["a", "b", "c"].map((name) => database.ports(name, { leaseTtlMs: 600_000 })),
  );
  let asked = 0;
  const lease = () => {
    asked += 1;
    return (all[asked % all.length] ?? (all[0] as NonNullable<(typeof all)[0]>)).lease;
  };
  return { lease, pass };
});

rolloutStoreContract("in Postgres", async () => {
  const a = await database.ports("a", { leaseTtlMs: 600_000 });
  const b = await database.ports("b");
  let asked = 0;
  const store = () => {
    asked += 1;
    return asked % 2 === 0 ? a.rollouts : b.rollouts;
  };
  return { store, lease: a.lease, pass };
});
