import { execFile } from "node:child_process";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { root } from "../rules/sources.ts";

const run = promisify(execFile);

it("where the Postgres client is not installed, loading is fine and using says how to install it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "changeover-no-pg-"));
  try {
    await cp(join(root, "src"), join(folder, "src"), { recursive: true });
    await writeFile(join(folder, "package.json"), '{ "type": "module" }');
    const program = `
      import { migrateFleet, openPostgres } from "./src/postgres.ts";
      const url = "postgres://user:password@127.0.0.1:1/none";
      const say = (error) => console.log(error.code, error.message);
      await migrateFleet(url).catch(say);
      await openPostgres({ url, instance: "a" }).catch(say);
      const { BatchQueue } = await import("./src/postgres/queue/batch-queue.ts");
      await BatchQueue.open({ url, name: "a" }).catch(say);
    `;
    await writeFile(join(folder, "program.ts"), program);
    const { stdout } = await run(process.execPath, ["program.ts"], { cwd: folder });
    const line =
      'POSTGRES_PACKAGE_MISSING The package "pg" is not installed. Run: npm install pg\n';
    expect(stdout).toBe(line + line + line.replaceAll("pg", "pg-boss"));
  } finally {
    await rm(folder, { recursive: true });
  }
});
