/** Flags of an Unleash server: read through its SDK, written through its Admin API. */
export {
  switchMigrationOff,
  UnleashControl,
  type UnleashControlOptions,
  unleashControl,
} from "./flags/unleash/unleash-control.ts";
export { type UnleashFlagsOptions, unleashFlags } from "./flags/unleash/unleash-flags.ts";
