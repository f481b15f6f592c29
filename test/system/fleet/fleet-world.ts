import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import type { PolicyInput } from "../../../src/changeover.ts";
import { FlagsAsCode } from "../../../src/flags/as-code/flags-as-code.ts";
import { migrateFleet } from "../../../src/postgres.ts";
import { type UnleashControl, unleashControl } from "../../../src/unleash.ts";
import type { TestUnleash } from "../../support/unleash.ts";
import { Instance } from "./instance.ts";
import type { InstanceSettings, InstanceView } from "./protocol.ts";

/** A stage is passed within seconds, on as few calls as the limits allow. */
export const quickPlan: object = planOf({ shadowPercentage: 0, samples: 0 }, 1);

/** The same, but what is served must have been seen in the shadow before. */
export const shadowPlan: object = planOf({ shadowPercentage: 30, samples: 20 }, 1);

/** It leaves 0 % at once, and stays at 1 %. */
export const firstStepPlan: object = planOf({ shadowPercentage: 0, samples: 0 }, 3600);

/** The default stages with other holds: 0 (shadow), 1, 10, 50, for writes 95, and 100 %. */
function planOf(first: object, holdSeconds: number): object {
  const stage = (percentage: number, more: object = {}): object => ({
    ...{ percentage, holdSeconds, samples: 20 },
    ...more,
  });
  const start = { percentage: 0, holdSeconds: 0, ...first };
  const write = { only: "write" };
  const stages = [start, stage(1), stage(10), stage(50), stage(95, write), stage(100)];
  return { profile: "test", profiles: { test: stages } };
}

/** Wide limits, so that a few dozen calls prove health; alarms are judged as ever. */
export const quickPolicy: PolicyInput = {
  engine: { healthyAfterSeconds: 1, freshSeconds: 60 },
  errorRate: { increase: 0.3, callsMin: 5 },
  timeoutRate: { increase: 0.3, callsMin: 5 },
  latency: { enabled: false },
  mismatch: { increase: 0.3, callsMin: 5 },
  shadowErrorRate: { increase: 0.3, callsMin: 5 },
  memory: { enabled: false },
};

/** The calls per second that every instance makes unless a test says something else. */
const usualLoad = 60;

/** One migration with one operation, on its own database, and the instances that serve it. */
export class FleetWorld {
  readonly operation: string;
  readonly control: UnleashControl;
  readonly instances: Instance[] = [];
  readonly databaseUrl: string;
  readonly #unleash: TestUnleash;
  readonly #folder: string;

  private constructor(unleash: TestUnleash, folder: string, name: string) {
    this.#unleash = unleash;
    this.#folder = folder;
    this.operation = `${name}.work`;
    const url = new URL(unleash.postgresUrl);
    url.pathname = `/${name}`;
    this.databaseUrl = url.href;
    this.control = unleashControl({ url: unleash.url, token: unleash.adminToken });
  }

  static async open(unleash: TestUnleash, planned: object = quickPlan): Promise<FleetWorld> {
    const name = `fleet${randomBytes(5).toString("hex")}`;
    const folder = await mkdtemp(join(tmpdir(), "changeover-fleet-"));
    const world = new FleetWorld(unleash, folder, name);
    await onServer(unleash.postgresUrl, `CREATE DATABASE ${name}`);
    await migrateFleet(world.databaseUrl);
    await writeFile(join(folder, "plan.json"), JSON.stringify(planned));
    await world.#pushFlags(name);
    return world;
  }

  /** Where instances read flags from, unless told otherwise. */
  get unleashUrl(): string {
    return this.#unleash.url;
  }

  /** Starts an instance; its data folder goes by its name. */
  async start(instance: string, changed: Partial<InstanceSettings> = {}): Promise<Instance> {
    const folder = join(this.#folder, instance);
    await mkdir(folder, { recursive: true });
    const started = await Instance.start({
      ...{ instance, folder, operation: this.operation, kind: "read" },
      postgresUrl: this.databaseUrl,
      unleashUrl: this.#unleash.url,
      clientToken: this.#unleash.clientToken,
      adminToken: this.#unleash.adminToken,
      planFile: join(this.#folder, "plan.json"),
      policy: quickPolicy,
      ...{ staleMs: 30_000, leaseTtlMs: 2000, mayLead: true, broadcast: true },
      ...{ clockAheadMs: 0, prometheusUrl: null, stop: null },
      ...changed,
    });
    this.instances.push(started);
    await started.ask("load", usualLoad);
    return started;
  }

  /** Starts several, `a`, `b`, `c` and so on. */
  startAll(count: number, changed: Partial<InstanceSettings> = {}): Promise<Instance[]> {
    const names = [..."abcdefgh"].slice(0, count);
    return Promise.all(names.map((name) => this.start(name, changed)));
  }

  /** A person sets the flag; every instance goes by it afterwards. */
  async expose(percentage: number, instances: readonly Instance[] = this.instances): Promise<void> {
    await this.control.setPercentage(this.operation, percentage, { by: "ana", reason: "a test" });
    await until("every instance goes by the flag", async () => {
      const views = await viewsOf(instances);
      return views.every(
        ({ flags, exposed }) =>
          flags.enabled === true && flags.percentage === percentage && exposed > 0,
      );
    });
  }

  /** Switches the flag on in Unleash itself, past all of our own doors. */
  async meddle(percentage: number): Promise<void> {
    const { url, adminToken, project, environment } = this.#unleash;
    const place = `${url}/api/admin/projects/${project}/features/${this.operation}/environments/${environment}`;
    const headers = { authorization: adminToken, "content-type": "application/json" };
    const read = await fetch(place, { headers });
    const { strategies } = (await read.json()) as { strategies: readonly { id: string }[] };
    const change = [{ op: "replace", path: "/parameters/rollout", value: String(percentage) }];
    const body = JSON.stringify(change);
    for (const { id } of strategies) {
      await fetch(`${place}/strategies/${id}`, { method: "PATCH", headers, body });
    }
    const switched = await fetch(`${place}/on`, { method: "POST", headers });
    if (!switched.ok) throw new Error(`The flag could not be switched on: ${switched.status}`);
  }

  /** What Unleash gives to the candidate. */
  async flagged(): Promise<number> {
    const { enabled, percentage } = await this.control.read(this.operation);
    return enabled ? percentage : 0;
  }

  /** Ends everything. */
  async close(): Promise<void> {
    await Promise.all(this.instances.map((each) => each.kill()));
    const name = new URL(this.databaseUrl).pathname.slice(1);
    await onServer(this.#unleash.postgresUrl, `DROP DATABASE ${name} WITH (FORCE)`);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #pushFlags(migration: string): Promise<void> {
    const folder = join(this.#folder, "flags");
    await mkdir(folder);
    const about = { purpose: "A test.", owner: "files", removeBy: "2027-06-30", enabled: true };
    const shares = { percentage: 0, shadowPercentage: 0 };
    const sticky = { groupId: migration, stickiness: "routingKey" };
    const flags = [
      { kind: "migration", name: migration, ...about },
      { kind: "operation", name: this.operation, ...about, ...shares, ...sticky },
    ];
    for (const flag of flags) {
      await writeFile(join(folder, `${flag.name}.json`), JSON.stringify(flag));
    }
    const { url, adminToken: token, project, environment } = this.#unleash;
    await new FlagsAsCode({ folder, url, token, project, environment }).push();
  }
}

/** Runs a test in a world of its own, and ends it whatever happens. */
export async function inWorld(
  unleash: TestUnleash,
  test: (world: FleetWorld) => Promise<void>,
  planned?: object,
): Promise<void> {
  const world = await FleetWorld.open(unleash, planned);
  try {
    await test(world);
  } catch (error) {
    // What the instances knew is the first thing that anybody asks for.
    for (const each of world.instances) console.log(summaryOf(await soon(each.view())));
    throw error;
  } finally {
    await world.close();
  }
}

export function viewsOf(instances: readonly Instance[]): Promise<InstanceView[]> {
  return Promise.all(instances.map((each) => each.view()));
}

/** Waits until it is so; the limit only keeps a test from hanging. */
export async function until(
  what: string,
  isSo: () => Promise<boolean>,
  limitMs = 30_000,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`It did not come to pass that ${what}.`);
    await pause(50);
  }
}

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** Every rise of the number of keys on the candidate after a moment of the machine's clock. */
export function risesAfter({ exposures }: InstanceView, afterMs: number): readonly string[] {
  return exposures.flatMap(({ atMs, keys }, index) => {
    const before = exposures[index - 1]?.keys ?? 0;
    return atMs > afterMs && keys > before ? [`${before} to ${keys} keys`] : [];
  });
}

/** What one instance knew, when a test failed. */
function summaryOf(view: InstanceView | null): string {
  if (view === null) return "no answer";
  const { instance, exposed, latch, flags, rollout, rollbacks, log } = view;
  const gates = rollout.gates.filter((gate) => !gate.includes(" passed:"));
  const told = { instance, exposed, latch, flags, rollout: { ...rollout, gates }, rollbacks };
  return JSON.stringify({ ...told, log: log.slice(-8) });
}

/** Null: it does not answer; it may be dead or frozen, as the test wants it. */
const soon = <T>(work: Promise<T>): Promise<T | null> =>
  Promise.race([work.catch(() => null), pause(2000).then(() => null)]);

async function onServer(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
