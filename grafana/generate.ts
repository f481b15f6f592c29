import { writeFileSync } from "node:fs";
import { rolloutDashboard } from "./rollout.ts";

const target = new URL("./dashboards/rollout.json", import.meta.url);
writeFileSync(target, `${JSON.stringify(rolloutDashboard, null, 2)}\n`);
