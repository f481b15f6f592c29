import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { ManualClock } from "../../../src/base/manual-clock.ts";
import { createChangeover } from "../../../src/changeover.ts";
import { migrateFiles } from "../../../src/files/operations.ts";
import { bytesSource } from "../../../src/files/source.ts";
import { manualFlags } from "../../../src/testing.ts";
import { seededBytes, sha256Of } from "../../contract/file-manager-world.ts";
import { RehearsalWorld } from "../../contract/rehearsal-world.ts";
import { type GatewayAppOptions, startGateway } from "../../support/gateway-app.ts";
import { seen } from "./defects.ts";
import { requestOf } from "./migrated-world.ts";

let world: RehearsalWorld;
beforeAll(async () => {
  world = await RehearsalWorld.open();
});
afterAll(() => world?.close());

describe.each(["legacy", "candidate"] as const)("with every call on %s", (path) => {
  it(seen(13), async () => {
    const flags = manualFlags("files.upload");
    await flags.force("files.upload", path);
    await flags.shadow("files.upload", true);
    // On a clock that stands still the minute does not end, and a busy machine is no reason to shed.
    const clock = new ManualClock();
    const changeover = await createChangeover({ flags, clock, shadow: { perMinuteMax: 1 } });
    onTestFinished(() => changeover.close());
    const files = migrateFiles({
      migrate: (definition) => changeover.migrate(definition),
      ...{ legacy: world.files.legacy(), candidate: world.files.streaming() },
      rehearsal: world.rehearsal(),
    });
    const count = async (series: string): Promise<number> => {
      const lines = (await changeover.metrics.text()).split("\n");
      return Number(
        lines
          .find((line) => line.startsWith(series))
          ?.split(" ")
          .at(-1),
      );
    };
    const contents = [1, 2, 3].map((each) => seededBytes(`shadowed ${path} ${each}`, 50_000));
    for (const bytes of contents) {
      await files.upload(requestOf(bytesSource(bytes), { provider: "kimi" }), { key: "anna" });
    }
    await vi.waitFor(async () => {
      const runs = 'changeover_shadow_runs_total{operation="files.upload",result="same"}';
      expect(await count(runs)).toBe(1);
    }, 10_000);
    // The other two came within the same minute.
    const skipped = 'changeover_shadow_skipped_total{operation="files.upload",reason="rate"}';
    await vi.waitFor(async () => expect(await count(skipped)).toBe(2), 10_000);
    for (const sha256 of contents.map(sha256Of)) {
      expect(await world.files.arrived("kimi", sha256)).toHaveLength(1);
      expect(await world.files.contents(sha256)).toHaveLength(1);
      expect(await world.files.objects(sha256)).toHaveLength(1);
    }
  });

  it(seen(14), async () => {
    const gateway = await startGateway({ flags: flagsFor(path) });
    onTestFinished(() => gateway.close());
    const ran: string[] = [];
    for (const each of ["legacy", "candidate"] as const) {
      gateway[each].beforeUpload = async () => void ran.push(each);
    }
    // From within a server's handler: the predecessor could not be called where a loop was running.
    const server = createServer(async (_incoming, response) => {
      const answer = await request(`${gateway.url}/v1/files/a.txt`, { method: "PUT", body: "abc" });
      await answer.body.dump();
      response.writeHead(answer.statusCode, {
        "x-path": String(answer.headers["x-changeover-path"]),
      });
      response.end();
    });
    server.listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await vi.waitFor(() => expect(server.listening).toBe(true));
    const { port } = server.address() as AddressInfo;
    const answer = await request(`http://127.0.0.1:${port}/`);
    await answer.body.dump();
    expect([answer.statusCode, answer.headers["x-path"]]).toEqual([201, path]);
    expect(ran).toEqual([path]);
    const answered = (): unknown[] =>
      gateway.log.filter(({ message }) => message === "Request answered");
    await vi.waitFor(() => expect(answered()).toHaveLength(1));
    expect(answered()).toMatchObject([{ fields: { path, status: 201 } }]);
  });
});

function flagsFor(path: "legacy" | "candidate"): NonNullable<GatewayAppOptions["flags"]> {
  return { "files.upload": path === "candidate" ? 100 : 0 };
}
