import type { KnipConfig } from "knip";

const config: KnipConfig = {
  entry: [
    "src/changeover.ts",
    "src/files.ts",
    "src/bench.ts",
    "src/openfeature.ts",
    "src/unleash.ts",
    "src/postgres.ts",
    "src/testing.ts",
    // Served to browsers as it is.
    "src/server/console/page/main.js",
    "src/sync.ts",
    // Started by its path.
    "src/sync/worker.ts",
    "src/files/streaming/hash-worker.ts",
    "src/cli/commands/demo/traffic/worker.ts",
    "src/metrics/opentelemetry.ts",
    "src/sandbox/child/*.ts",
    "grafana/*.ts",
    "test/**/*.test.ts",
    // Programs that tests start by their path.
    "test/**/fixtures/*.ts",
    "test/disk/appender.ts",
  ],
  project: ["src/**/*.{ts,js}", "bench/**/*.ts", "test/**/*.ts", "grafana/**/*.ts"],
  // What its own file uses is not dead; what appears in an exported signature has to be exported.
  ignoreExportsUsedInFile: true,
  // The checkers of the packed tarball and of the page, which tests call by path.
  ignoreBinaries: ["mkfifo", "prometheus"],
  ignoreDependencies: ["axe-core", "publint", "@arethetypeswrong/cli"],
};

export default config;
