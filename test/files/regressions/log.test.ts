import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { request } from "undici";
import { afterAll, beforeAll, expect, it } from "vitest";
import { operatorTokenFile } from "../../../src/app/secrets.ts";
import type { RunRecord } from "../../../src/cli/run-file.ts";
import { changeover, type Started, startChangeover } from "../../cli/command-line.ts";
import { TestFolder } from "../../support/test-folder.ts";
import { seen } from "./defects.ts";

const folder = new TestFolder();
const bearerKey = "sk-bearer-of-anna-0123456789";
const content = "the-confidential-content-of-a-file ";
const bytes = Buffer.from(`%PDF-1.7\n${content.repeat(10_000)}`);
// As loud as it gets: ours by its level, and every package that listens to DEBUG.
const environment = { CHANGEOVER_LOG_LEVEL: "debug", DEBUG: "*" };
let started: Started;

beforeAll(async () => {
  const keysFile = folder.in("keys.json");
  writeFileSync(keysFile, JSON.stringify({ [bearerKey]: "anna" }));
  started = await startChangeover(folder.in("data"), {
    environment: { ...environment, CHANGEOVER_KEYS_FILE: keysFile },
  });
});
afterAll(async () => {
  started?.child.kill("SIGTERM");
  await started?.end;
  await folder.remove();
});

it(seen(16), async () => {
  const token = readFileSync(join(started.dataDir, operatorTokenFile), "utf8").trim();
  const { backend } = JSON.parse(
    readFileSync(join(started.dataDir, "run.json"), "utf8"),
  ) as RunRecord;
  const call = async (method: "PUT" | "GET" | "DELETE", path: string, target: string) => {
    const answer = await request(`${started.gateway}/v1/files/${target}`, {
      method,
      body: method === "PUT" ? bytes : null,
      headers: {
        ...{ authorization: `Bearer ${bearerKey}`, "x-changeover-path": path },
        "x-changeover-token": token,
      },
    });
    return { status: answer.statusCode, text: await answer.body.text() };
  };
  const faults = `${new URL(backend?.kimi?.baseUrl ?? "").origin}/__stand-in/faults`;
  const fault = async (method: "PUT" | "DELETE", body: string | null): Promise<void> => {
    await (await request(faults, { method, body })).body.dump();
  };
  const requestIds = new Set<string>();
  for (const path of ["legacy", "candidate"]) {
    const stored = await call("PUT", path, "plan.pdf?provider=kimi");
    const { id } = JSON.parse(stored.text) as { id: string };
    const read = await call("GET", path, `${id}/content`);
    const deleted = await call("DELETE", path, id);
    // Until it is ended: legacy would answer for a candidate that is refused once.
    await fault("PUT", JSON.stringify({ errorStatus: 400, operations: ["upload"] }));
    const refused = await call("PUT", path, "plan.pdf?provider=kimi");
    await fault("DELETE", null);
    const statuses = [stored, read, deleted, refused].map(({ status }) => status);
    expect(statuses).toEqual([201, 200, 200, 502]);
  }
  const file = folder.in("plan.pdf");
  writeFileSync(file, bytes);
  const words = ["upload", file, "--provider", "kimi", "--data-dir", started.dataDir];
  const ran = await changeover(words, { environment });
  expect(ran.code).toBe(0);

  const logs = join(started.dataDir, "logs");
  const texts = readdirSync(logs).map((name) => readFileSync(join(logs, name), "utf8"));
  const all = [...texts, ran.stdout, ran.stderr].join("\n");
  for (const line of texts.join("\n").split("\n")) {
    const { message, msg, requestId } = line.startsWith("{") ? JSON.parse(line) : {};
    if ((message ?? msg) === "A file was stored") requestIds.add(requestId);
  }
  // It is a log that tells of these calls, each by an id of its own.
  expect(requestIds.size).toBeGreaterThanOrEqual(2);
  const keys = [bearerKey, token, backend?.kimi?.apiKey, backend?.supabase.secretKey];
  const base64 = Buffer.from(content.repeat(3)).toString("base64").slice(4, 60);
  const hex = Buffer.from(content).toString("hex");
  for (const secret of ["the-confidential-content", base64, hex, ...keys]) {
    expect(secret).toBeTruthy();
    expect(all.includes(String(secret)), `the log has ${secret}`).toBe(false);
  }
  // Five transfers of 350 kB are a few lines each.
  expect(all.length).toBeLessThan(bytes.length);
});
