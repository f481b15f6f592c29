import {
  defineConfig,
  type TestProjectInlineConfiguration,
  type ViteUserConfig,
} from "vitest/config";

/**
 * The suites, by what they need: `unit`, `contract`, `scenario` and `rules` need npm packages only;
 * what needs a browser or a server of the machine lives in `system` and is skipped by `npm test`.
 */
const suite = (
  name: string,
  include: string[],
  timeoutMs = 20_000,
): TestProjectInlineConfiguration => ({
  test: {
    name,
    include,
    testTimeout: timeoutMs,
    hookTimeout: Math.max(60_000, timeoutMs),
    pool: "forks" as const,
  },
});

const config: ViteUserConfig = defineConfig({
  test: {
    // Most files wait for processes and clocks of their own: more at once than there are cores is faster.
    maxWorkers: 4,
    projects: [
      suite("unit", ["test/!(contract|scenario|rules|support|system)/**/*.test.ts"]),
      suite("contract", ["test/contract/**/*.test.ts"], 60_000),
      suite("scenario", ["test/scenario/**/*.test.ts"], 120_000),
      suite("rules", ["test/rules/**/*.test.ts"], 120_000),
      suite("system", ["test/system/**/*.test.ts"], 300_000),
    ],
  },
});

export default config;
