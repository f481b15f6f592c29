import { writeFileSync } from "node:fs";
import { dashboards } from "./dashboards.ts";

for (const [name, dashboard] of Object.entries(dashboards)) {
  const target = new URL(`./dashboards/${name}.json`, import.meta.url);
  writeFileSync(target, `${JSON.stringify(dashboard, null, 2)}\n`);
}
