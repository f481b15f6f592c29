import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../rules/sources.ts";

const run = promisify(execFile);

// What `npm test` leaves out, and why; `.ci/run` sets the variable.
const here = process.env["CHANGEOVER_SYSTEM"] === "1";

/** The most packages that a plain install may bring, ourselves included. */
const packagesMax = 15;

describe.skipIf(!here)("the packed tarball (needs the package registry: run by .ci/run)", () => {
  let folder: string;
  let tarball: string;
  let files: string[];

  const npm = (...words: string[]): Promise<{ stdout: string }> =>
    run("npm", [...words, "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: folder,
      maxBuffer: 1e8,
    });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "changeover-package-"));
    const packed = await run("npm", ["pack", "--json", "--pack-destination", folder], {
      cwd: root,
      maxBuffer: 1e8,
    });
    // The build's own lines come before the JSON.
    const list = JSON.parse(packed.stdout.slice(packed.stdout.indexOf("[\n"))) as {
      filename: string;
      files: { path: string }[];
    }[];
    const first = list[0];
    tarball = join(folder, first?.filename ?? "");
    files = first?.files.map((file) => file.path) ?? [];
    await writeFile(join(folder, "package.json"), '{"name":"elsewhere","type":"module"}');
    await npm("install", tarball);
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    await rm(join(root, "dist"), { recursive: true, force: true });
  });

  it("holds no tests, no sandbox data and no sources that Node cannot run", () => {
    expect(files.filter((path) => path.startsWith("test/") || path.startsWith("bench/"))).toEqual(
      [],
    );
    expect(files.filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"))).toEqual([]);
    expect(files).toContain("dist/changeover.js");
    expect(files).toContain("dist/changeover.d.ts");
    expect(files).toContain("dist/server/console/page/index.html");
  });

  it(`installs at most ${packagesMax} packages, none of them under the AGPL`, async () => {
    const lock = JSON.parse(
      await readFile(join(folder, "node_modules/.package-lock.json"), "utf8"),
    ) as { packages: Record<string, { license?: string }> };
    const names = Object.keys(lock.packages);
    expect(names.length).toBeLessThanOrEqual(packagesMax);
    const licences = Object.values(lock.packages).map((each) => each.license ?? "missing");
    expect(licences.filter((licence) => /AGPL|missing/.test(licence))).toEqual([]);
  });

  it("works in a JavaScript project, and loads neither a server nor a database with the core", async () => {
    await writeFile(
      join(folder, "use.js"),
      `import { registerHooks } from "node:module";
       const loaded = [];
       registerHooks({ resolve: (name, context, next) => { loaded.push(name); return next(name, context); } });
       const { createChangeover, staticFlags } = await import("changeover");
       const changeover = await createChangeover({ flags: staticFlags({ "image.resize": 100 }) });
       const resize = changeover.migrate({
         name: "image.resize", kind: "read", legacy: () => "old", candidate: () => "new",
       });
       const answer = await resize("x", { key: "ana" });
       const text = await changeover.metrics.text();
       await changeover.close();
       const packages = loaded.filter((name) => !name.startsWith("."));
       const heavy = packages.filter((name) => /fastify|^pg$|supabase|undici|unleash|pino/.test(name));
       console.log(JSON.stringify({ answer, metrics: text.includes("changeover_calls_total"), heavy }));`,
    );
    const { stdout } = await run(process.execPath, ["use.js"], { cwd: folder });
    expect(JSON.parse(stdout)).toEqual({ answer: "new", metrics: true, heavy: [] });
  });

  it("is typed for a TypeScript project as both paths are", async () => {
    await writeFile(
      join(folder, "use.ts"),
      `import { createChangeover, staticFlags } from "changeover";
       import type { BenchOperation } from "changeover/bench";
       import { ManualClock } from "changeover/testing";
       export const operation: BenchOperation<number, number> = {
         name: "number.double", legacy: (n) => n * 2, candidate: async (n) => n + n, inputs: [1],
       };
       const changeover = await createChangeover({ flags: staticFlags({}), clock: new ManualClock() });
       const double = changeover.migrate({
         name: "number.double", kind: "read",
         legacy: (n: number) => n * 2, candidate: async (n: number) => n + n,
       });
       const answer: number = await double(2, { key: "ana" });
       // @ts-expect-error the input is a number
       await double("two", { key: "ana" });
       export { answer };`,
    );
    const words = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2024", "use.ts"];
    await run(join(root, "node_modules/.bin/tsc"), [...words, "--ignoreConfig"], { cwd: folder });
  });

  it("has a working command line that names a missing package in one line", async () => {
    const bin = join(folder, "node_modules/.bin/changeover");
    const { stdout } = await run(bin, ["--help"], { cwd: folder });
    expect(stdout).toContain("rollback");
    const start = await run(bin, ["start"], { cwd: folder }).catch((error: unknown) => error);
    expect((start as { stderr: string }).stderr).toMatch(/npm install/);
    expect((start as { stderr: string }).stderr.trim().split("\n")).toHaveLength(1);
  });

  it("names the package that scripts without await lack", async () => {
    await writeFile(
      join(folder, "script.js"),
      `import { deleteSync } from "changeover/sync";
       try { deleteSync("x"); } catch ({ code, details }) { console.log(code, details.package); }`,
    );
    const { stdout } = await run(process.execPath, ["script.js"], { cwd: folder });
    expect(stdout.trim()).toBe("FILES_SYNC_PACKAGE_MISSING synckit");
  });

  it("passes publint and attw", async () => {
    await run(join(root, "node_modules/.bin/publint"), ["run", tarball, "--strict"], { cwd: root });
    const attw = join(root, "node_modules/.bin/attw");
    await run(attw, [tarball, "--profile", "esm-only"], { cwd: root, maxBuffer: 1e8 });
  });
});
