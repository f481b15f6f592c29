import { filesDashboard } from "./files.ts";
import { fleetDashboard } from "./fleet.ts";
import { type DashboardJson, dashboardOf } from "./panel.ts";
import { rolloutDashboard } from "./rollout.ts";

/** Every dashboard, by the name of its file. */
export const dashboards: Readonly<Record<string, DashboardJson>> = {
  rollout: dashboardOf(rolloutDashboard),
  files: dashboardOf(filesDashboard),
  fleet: dashboardOf(fleetDashboard),
};
