import type { KnipConfig } from "knip";

const config: KnipConfig = {
  entry: [
    "src/changeover.ts",
    "src/files.ts",
    "src/testing.ts",
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
  // The checkers of the packed tarball, which a test calls by path.
  ignoreBinaries: ["mkfifo"],
  ignoreDependencies: ["publint", "@arethetypeswrong/cli"],
};

export default config;
