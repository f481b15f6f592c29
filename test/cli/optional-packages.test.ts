import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { TestFolder } from "../support/test-folder.ts";
import { changeover, errorOf, type Ran } from "./command-line.ts";

vi.setConfig({ testTimeout: 90_000 });

const folder = new TestFolder();
/** Hides what a core install does not bring. */
const hide = `
import { registerHooks } from "node:module";
const hidden = /^(fastify|pino|undici|cli-progress|file-type|mime|p-limit|p-retry|unleash-client|@supabase\\/supabase-js)(\\/|$)/;
registerHooks({
  resolve(specifier, context, next) {
    if (!hidden.test(specifier)) return next(specifier, context);
    const error = new Error(\`Cannot find package '\${specifier}' imported from \${context.parentURL}\`);
    throw Object.assign(error, { code: "ERR_MODULE_NOT_FOUND" });
  },
});
`;
let node: string[];
beforeAll(() => {
  writeFileSync(folder.in("hide.mjs"), hide);
  node = [process.execPath, "--import", folder.in("hide.mjs")];
});
afterAll(() => folder.remove());
const run = (...words: string[]): Promise<Ran> =>
  changeover([...words, "--json", "--data-dir", folder.in("data")], { node });

describe("a core install", () => {
  it("explains itself and finds mistakes without any optional package", async () => {
    const [help, wrong, doctor] = await Promise.all([run("--help"), run("upstart"), run("doctor")]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(errorOf(wrong).code).toBe("CLI_USAGE");
    expect(doctor.stderr).toBe("");
    expect(doctor.stdout).toContain('"checks"');
  });

  it.each([
    [["start"], "pino", "the log of changeover start"],
    [["ls", "--gateway", "http://127.0.0.1:9"], "undici", "--gateway"],
  ])(
    "names the package that %j needs, with the command to install it",
    async (words, name, purpose) => {
      const ran = await run(...words);
      expect(ran.code).toBe(1);
      expect(errorOf(ran)).toEqual({
        code: "CLI_PACKAGE_MISSING",
        message: `The package ${name} is needed for ${purpose} and is not installed. Install it: npm install ${name} (changeover doctor lists all that are missing).`,
      });
    },
  );

  it("names the first package that storing files needs", async () => {
    const ran = await run("flags", "show");
    expect(ran.code).toBe(1);
    expect(errorOf(ran)).toMatchObject({
      code: "CLI_PACKAGE_MISSING",
      message: expect.stringMatching(/^The package \S+ is needed for .* npm install \S+ /),
    });
  });
});
