/** Flags of any OpenFeature provider, for reading. */
export { type OpenFeatureFlagsOptions, openFeatureFlags } from "./flags/openfeature.ts";
