import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Changeover, createChangeover } from "../../src/changeover.ts";
import type { OperationDeclaration } from "../../src/migration/operation.ts";
import { manualFlags, replayInput } from "../../src/testing.ts";
import { root } from "../rules/sources.ts";
import { settle } from "./shadowed-facade.ts";

type Size = { readonly width: number; readonly token?: string };
const name = "image.resize";
const key = { key: "a" };
let changeover: Changeover | undefined;
const folders: string[] = [];
afterEach(async () => {
  await changeover?.close();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

const declared = (more: Partial<OperationDeclaration<Size, unknown>> = {}) => ({
  ...{ name, kind: "read" as const },
  legacy: ({ width }: Size): unknown => ({ width, colour: "red" }),
  candidate: ({ width }: Size): unknown => ({ width: width + 1, colour: "red" }),
  recordInput: (size: Size) => size,
  readInput: (recorded: unknown) => recorded as Size,
  ...more,
});

/** A changeover that has seen one call of an operation. */
async function seen(
  definition: OperationDeclaration<Size, unknown>,
  input: Size = { width: 1 },
): Promise<Changeover> {
  const flags = manualFlags(name);
  changeover = await createChangeover({ flags });
  await flags.shadow(name, true);
  await changeover.migrate(definition)(input, key);
  await vi.waitFor(() => expect(changeover?.mismatches()).toHaveLength(1));
  return changeover;
}

const idOf = (of: Changeover): string => of.cases.list()[0]?.id ?? "";

describe("a case", () => {
  it("holds all that is needed to understand it, and no secret", async () => {
    const running = await seen(declared(), { width: 1, token: "sk-very-secret" });
    const kept = running.cases.show(idOf(running));
    expect(kept).toMatchObject({
      ...{ version: 1, operation: name, count: 1, served: "legacy", kinds: ["value"] },
      differences: [{ path: "width", legacy: "1", candidate: "2" }],
      legacy: { what: "succeeded", bytes: 0, digest: null },
      candidate: { what: "succeeded" },
      input: { width: 1, token: "(masked)" },
      inputNote: null,
    });
    expect(JSON.stringify(kept)).not.toContain("very-secret");
  });

  it.each([
    ["declares no recordInput", undefined],
    [
      "threw",
      () => {
        throw new Error("no");
      },
    ],
    ["no JSON", () => undefined],
    ["of at most 16384", () => "x".repeat(20_000)],
  ])("says why there is no input: it %s", async (why, recordInput) => {
    const { recordInput: _, ...bare } = declared();
    const running = await seen({ ...bare, ...(recordInput && { recordInput }) });
    const kept = running.cases.show(idOf(running));
    expect(kept.input).toBeNull();
    expect(kept.inputNote).toContain(why);
    await expect(running.cases.replay(kept.id)).rejects.toMatchObject({
      code: "SHADOW_CASE_WITHOUT_INPUT",
    });
    expect(() => running.cases.exportVitest(kept.id)).toThrow("was not kept");
  });

  it("is found by the beginning of its id, and by nothing else", async () => {
    const running = await seen(declared());
    expect(running.cases.show(idOf(running).slice(0, 3)).id).toBe(idOf(running));
    for (const id of ["", "x", `${idOf(running)}0`]) {
      expect(() => running.cases.show(id)).toThrow("There is no mismatch");
    }
  });
});

describe("replaying", () => {
  it("runs a read on both paths as shadows, and says whether they still differ", async () => {
    const ran: string[] = [];
    let isMended = false;
    const definition = declared({
      legacy: (_, call) => {
        ran.push(`${call.path} ${call.source}`);
        return 1;
      },
      candidate: (_, call) => {
        ran.push(`${call.path} ${call.source}`);
        return isMended ? 1 : 2;
      },
    });
    const running = await seen(definition);
    ran.length = 0;
    expect(await running.cases.replay(idOf(running))).toEqual({
      ...{ operation: name, result: "different", detail: null },
      ...{ legacy: "succeeded", candidate: "succeeded" },
      differences: [{ path: "(value)", kind: "value", legacy: "1", candidate: "2" }],
    });
    expect(ran).toEqual(["legacy shadow", "candidate shadow"]);
    isMended = true;
    expect(await running.cases.replay(idOf(running))).toMatchObject({ result: "same" });
    // A replay is no call: it counts nowhere.
    expect(running.mismatches()[0]?.count).toBe(1);
  });

  it("runs a write as a rehearsal, and never for real", async () => {
    const ran: string[] = [];
    const definition = declared({
      kind: "write",
      legacy: () => void ran.push("legacy"),
      candidate: () => void ran.push("candidate"),
      rehearse: {
        open: (_, call) => ({
          run: () => {
            ran.push(`rehearse ${call.path}`);
            return call.path;
          },
          close: async () => void ran.push("close"),
        }),
      },
    });
    const running = await seen(definition);
    ran.length = 0;
    expect(await running.cases.replay(idOf(running))).toMatchObject({ result: "different" });
    expect(ran).toEqual(["rehearse legacy", "close", "rehearse candidate", "close"]);
  });

  it("is refused where there is no way back to an input, or no rehearsal", async () => {
    const { readInput: _, ...bare } = declared();
    const running = await seen(bare);
    await expect(running.cases.replay(idOf(running))).rejects.toMatchObject({
      code: "SHADOW_NOT_REPLAYABLE",
    });
    const write = { ...declared(), kind: "write" } as const;
    expect(() => replayInput(write, {})).toThrow("a write that declares no rehearsal");
  });
});

describe("an exported case", () => {
  it("is a test file that fails while the paths differ, and passes once they do not", async () => {
    const running = await seen(declared(), { width: 7 });
    const folder = await mkdtemp(join(tmpdir(), "changeover-export-"));
    folders.push(folder);
    await mkdir(join(folder, "node_modules"));
    await symlink(join(root, "node_modules/vitest"), join(folder, "node_modules/vitest"));
    const text = running.cases.exportVitest(idOf(running), {
      testing: join(root, "src/testing.ts"),
    });
    expect(text).toContain('import { imageResize } from "./operations.ts";');
    await writeFile(join(folder, "case.test.ts"), text);
    const result = async (addend: number) => {
      await writeFile(
        join(folder, "operations.ts"),
        `export const imageResize = {
          name: "image.resize", kind: "read", readInput: (recorded) => recorded,
          legacy: ({ width }) => width, candidate: ({ width }) => width + ${addend},
        };`,
      );
      const cli = join(root, "node_modules/vitest/vitest.mjs");
      const args = [cli, "run", "--root", folder, "--reporter", "verbose"];
      return spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
    };
    const failed = await result(1);
    expect(failed.status, failed.stderr).toBe(1);
    expect(failed.stdout + failed.stderr).toContain("image.resize answers alike on both paths");
    const passed = await result(0);
    expect(passed.stdout + passed.stderr).toContain("1 passed");
    expect(passed.status).toBe(0);
  }, 120_000);

  it("turns nothing of what was recorded into code", async () => {
    const evil = `*/ \`\${process.exit(1)}\` "; //\u2028\n`;
    const definition = declared({
      legacy: () => ({ [evil]: 1 }),
      candidate: () => ({ [evil]: 2 }),
      recordInput: () => ({ evil }),
    });
    const running = await seen(definition);
    const text = running.cases.exportVitest(idOf(running), { name: "a-b; process.exit(1)" });
    expect(text).toContain("import { abprocessexit1 } from");
    const comments = text.split("\n").slice(
      0,
      text.split("\n").findIndex((l) => l.startsWith("import")),
    );
    for (const line of comments) expect(line).toMatch(/^\/\/ [^\u2028]*$/);
    const input = /const input = (\{[\s\S]*?\n\});/.exec(text)?.[1] ?? "";
    expect(JSON.parse(input)).toEqual({ evil });
  });
});

describe("a shape seen often", () => {
  it("is one case with a counter", async () => {
    const flags = manualFlags(name);
    changeover = await createChangeover({ flags, shadow: { perMinuteMax: 1e6 } });
    await flags.shadow(name, true);
    const resize = changeover.migrate(declared());
    for (let n = 0; n < 90; n += 1) {
      await resize({ width: n }, key);
      if (n % 10 === 9) await settle();
    }
    await vi.waitFor(() => expect(changeover?.mismatches()[0]?.count).toBe(90));
    expect(changeover.mismatches()).toHaveLength(1);
  });
});
