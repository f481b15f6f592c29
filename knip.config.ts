import type { KnipConfig } from "knip";

const config: KnipConfig = {
  entry: [
    "src/changeover.ts",
    "src/files.ts",
    "src/testing.ts",
    "src/sandbox/child/*.ts",
    "grafana/*.ts",
    "test/**/*.test.ts",
  ],
  project: ["src/**/*.{ts,js}", "bench/**/*.ts", "test/**/*.ts", "grafana/**/*.ts"],
  // A type that only appears in another exported signature is part of that signature.
  ignoreExportsUsedInFile: { interface: true, type: true },
  // The checkers of the packed tarball, which a test calls by path.
  ignoreDependencies: ["publint", "@arethetypeswrong/cli"],
};

export default config;
