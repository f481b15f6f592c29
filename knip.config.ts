import type { KnipConfig } from "knip";

const config: KnipConfig = {
  entry: [
    "src/changeover.ts",
    "src/files.ts",
    "src/testing.ts",
    "src/cli/bin.js",
    "src/cli/main.ts",
    "src/sandbox/child/*.ts",
    "bench/main.ts",
    "grafana/*.ts",
    "test/**/*.test.ts",
  ],
  project: ["src/**/*.{ts,js}", "bench/**/*.ts", "test/**/*.ts", "grafana/**/*.ts"],
  // The runtime of every script, the checkers that CI calls by path, and what only tests resolve.
  ignoreDependencies: ["node", "publint", "@arethetypeswrong/cli", "vite"],
};

export default config;
