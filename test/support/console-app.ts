import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { App } from "../../src/app/app.ts";
import { readConfig } from "../../src/app/config.ts";
import { History } from "../../src/app/history.ts";
import { Operator } from "../../src/app/operator.ts";
import type { Snapshot } from "../../src/app/snapshot.ts";
import { takeSnapshot } from "../../src/app/take-snapshot.ts";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import {
  type Changeover,
  createChangeover,
  type PolicyInput,
  staticFlags,
} from "../../src/changeover.ts";
import { Spool } from "../../src/files/spool.ts";
import { FaultSwitch } from "../../src/rehearsal/faults.ts";
import { createGateway, type Gateway } from "../../src/server/gateway.ts";
import { makeApp, operatorToken } from "./gateway-app.ts";

/** What a test may say about the product behind its console. */
export interface ConsoleAppOptions {
  readonly clock?: Clock;
  /** The port to listen on; default any. */
  readonly port?: number;
  /** `::ffff:127.0.0.1` is reached from this machine only, and counts as off loopback. */
  readonly host?: string;
  /** What a colleague's part would add to the snapshot. */
  readonly change?: (snapshot: Snapshot) => Snapshot;
  /** The name of a field in which the two paths differ. */
  readonly differingField?: string;
  readonly guard?: PolicyInput;
}

/** A real changeover of two operations behind a gateway that listens. */
export interface ConsoleApp {
  readonly app: App;
  readonly url: string;
  readonly port: number;
  readonly gateway: Gateway;
  readonly changeover: Changeover;
  readonly history: History;
  readonly token: string;
  /** What the candidate of `files.upload` does from now on. */
  readonly candidate: { fails: boolean; differs: boolean };
  /** Makes so many calls of each operation, each with its own key. */
  call(count: number): Promise<void>;
  close(): Promise<void>;
}

/** Starts it. */
export async function startConsole(options: ConsoleAppOptions = {}): Promise<ConsoleApp> {
  const { clock = systemClock, port = 0, host = "127.0.0.1", differingField = "size" } = options;
  const dir = await mkdtemp(join(tmpdir(), "changeover-console-"));
  const startedMs = clock.now();
  const changeover = await createChangeover({
    clock,
    flags: staticFlags({
      "files.upload": { percentage: 50 },
      "files.info": { percentage: 10, shadow: 100 },
    }),
    shadow: { perMinuteMax: 6000 },
    ...(options.guard === undefined ? {} : { guard: options.guard }),
  });
  const candidate = { fails: false, differs: false };
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const upload = changeover.migrate<number, string>({
    name: "files.upload",
    kind: "read",
    cost: () => ({ legacy: 4_000_000, candidate: 100_000 }),
    legacy: async (n) => {
      await pause(4 + (n % 7));
      return "stored";
    },
    candidate: async (n) => {
      await pause(1 + (n % 3));
      if (candidate.fails) throw new Error("the storage answered 500");
      return "stored";
    },
  });
  const info = changeover.migrate<number, Record<string, unknown>>({
    name: "files.info",
    kind: "read",
    legacy: async () => ({ [differingField]: 1, name: "a" }),
    candidate: async () => ({ [differingField]: candidate.differs ? 2 : 1, name: "a" }),
  });
  const faults = new FaultSwitch();
  const spool = new Spool({ dir, limitBytes: 64 * 2 ** 20 });
  const config = readConfig({
    CHANGEOVER_PORT: String(port),
    CHANGEOVER_HOST: host,
    CHANGEOVER_DATA_DIR: dir,
  });
  const { operations, metrics } = changeover;
  const history = new History({
    operations: () => operations,
    totals: (name) => metrics.totals(name),
    clock,
  });
  const parts = {
    changeover,
    history,
    faults,
    spool,
    providers: [],
    clock,
    startedMs,
    config,
    notices: null,
  };
  const { app: model } = await makeApp();
  const app: App = {
    ...model,
    config,
    logger: silentLogger,
    spool,
    history,
    operatorToken,
    owners: host === "127.0.0.1" ? null : new Map([["a-key-of-the-tests", "ann"]]),
    control: new Operator({ changeover, faults, clock }),
    metrics,
    snapshot: () => (options.change ?? ((same) => same))(takeSnapshot(parts)),
  };
  const gateway = createGateway(app, { clock });
  const { port: bound } = await gateway.listen();
  const url = `http://127.0.0.1:${bound}`;
  let calls = 0;
  const call = async (count: number): Promise<void> => {
    const made = Array.from({ length: count }, () => {
      calls += 1;
      const options_ = { key: `key-${calls}` };
      return [upload(calls, options_).catch(() => undefined), info(calls, options_)];
    });
    await Promise.all(made.flat());
  };
  const close = async (): Promise<void> => {
    await gateway.close(0);
    history.close();
    await changeover.close();
    await spool.close();
    await model.close();
    await rm(dir, { recursive: true, force: true });
  };
  return {
    app,
    url,
    port: bound,
    gateway,
    changeover,
    history,
    token: operatorToken,
    candidate,
    call,
    close,
  };
}
