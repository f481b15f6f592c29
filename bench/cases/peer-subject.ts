import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  createMigration,
  type LDClient,
  LDConcurrentExecution,
  LDMigrationStage,
  LDMigrationSuccess,
  init as startLaunchDarkly,
} from "@launchdarkly/node-server-sdk";
import { TestData } from "@launchdarkly/node-server-sdk/integrations";
import {
  ConsecutiveBreaker,
  circuitBreaker,
  handleAll,
  type IPolicy,
  TimeoutStrategy,
  timeout,
  wrap,
} from "cockatiel";
import CircuitBreaker from "opossum";
import { experimentAsync } from "tzientist";
import { CodedError } from "../../src/base/errors.ts";
import { type Changeover, createChangeover } from "../../src/changeover.ts";
import { fileFlags } from "../../src/flags/file-flags.ts";
import { directCall } from "./facade-subject.ts";

/** What can be called in one process of the comparison with peers. */
export type SubjectName =
  | "direct"
  | "direct, fresh keys"
  | "direct, failing"
  | "changeover"
  | "changeover, fresh keys"
  | "changeover, failing"
  | PeerName;

/** What others offer for the same purpose, as their own documentation sets them up. */
export type PeerName =
  | "tzientist, both paths"
  | "tzientist, disabled"
  | "opossum, defaults"
  | "cockatiel, breaker"
  | "cockatiel, timeout + breaker"
  | "LaunchDarkly, off"
  | "LaunchDarkly, live";

/** Every peer, in the order of the tables. */
export const peerNames: readonly PeerName[] = [
  "tzientist, both paths",
  "tzientist, disabled",
  "opossum, defaults",
  "cockatiel, breaker",
  "cockatiel, timeout + breaker",
  "LaunchDarkly, off",
  "LaunchDarkly, live",
];

/** One call. Its promise settles when the caller of the library would go on. */
export type SubjectCall = (input: number) => Promise<unknown>;

/** Something that can be called and is closed afterwards. */
export interface Subject {
  readonly name: SubjectName;
  readonly call: SubjectCall;
  /** Its promise rejects, always. */
  readonly fails: boolean;
  /** Throws when calls did not go where the measurement says they went. */
  readonly check: () => void;
  readonly close: () => Promise<void>;
}

const cachedFlag = "bench.read";
const freshFlag = "bench.fresh";
const failingFlag = "bench.failing";
const key = "user-4711";
/** Made once: what is measured is the way of an error, not its stack trace. */
const prebuilt = new Error("The path failed, as it was told to.");

/** Flag files as they are committed to a repository: two at 100 %, one at 0 %, and their kill switch. */
export async function writeFlags(folder: string): Promise<void> {
  const common = { purpose: "A benchmark.", owner: "bench", removeBy: "2099-12-31", enabled: true };
  const operation = (name: string, percentage: number): object => ({
    ...common,
    kind: "operation",
    name,
    percentage,
    shadowPercentage: 0,
    groupId: "bench",
    stickiness: "routingKey",
  });
  const flags = [
    { ...common, kind: "migration", name: "bench" },
    operation(cachedFlag, 100),
    operation(freshFlag, 100),
    operation(failingFlag, 0),
  ];
  await mkdir(folder, { recursive: true });
  for (const flag of flags) {
    const { name } = flag as { name: string };
    await writeFile(join(folder, `${name}.json`), JSON.stringify(flag, null, 2));
  }
}

/** Opens a subject. `flagsFolder` holds what {@link writeFlags} wrote. */
export async function openSubject(name: SubjectName, flagsFolder: string): Promise<Subject> {
  if (name.startsWith("changeover")) return openChangeover(name, flagsFolder);
  const peer = await openCall(name);
  return {
    name,
    call: peer.call,
    fails: name === "direct, failing",
    check: () => undefined,
    close: peer.close ?? (() => Promise.resolve()),
  };
}

/** The library as a user gets it: real Unleash evaluation, metrics, guard, nothing switched off. */
async function openChangeover(name: SubjectName, flagsFolder: string): Promise<Subject> {
  const changeover = await createChangeover({ flags: fileFlags(flagsFolder) });
  const close = (): Promise<void> => changeover.close();
  if (name === "changeover, failing") {
    const failing = changeover.migrate<number, number>({
      name: failingFlag,
      kind: "read",
      legacy: failingCall,
      candidate: directCall,
    });
    const options = { key };
    const call: SubjectCall = (input) => failing(input, options);
    return { name, call, fails: true, check: checkOf(changeover, failingFlag, "flag-off"), close };
  }
  const fresh = name === "changeover, fresh keys";
  const flag = fresh ? freshFlag : cachedFlag;
  const migrated = changeover.migrate<number, number>({
    name: flag,
    kind: "read",
    legacy: directCall,
    candidate: directCall,
  });
  const check = checkOf(changeover, flag, "flag-on");
  const options = { key };
  const call: SubjectCall = fresh
    ? (input) => migrated(input, freshOptions())
    : (input) => migrated(input, options);
  return { name, call, fails: false, check, close };
}

function checkOf(changeover: Changeover, operation: string, reason: string): () => void {
  return () => {
    const { decision } = changeover.explain(operation, key);
    if (decision.reason === reason) return;
    throw new CodedError(
      "BENCH_WRONG_PATH",
      `Calls of ${operation} were decided by ${decision.reason} and not by ${reason}: the measurement is of something else.`,
    );
  };
}

let freshKeys = 0;

function freshOptions(): { key: string } {
  freshKeys += 1;
  return { key: `user-${freshKeys}` };
}

interface OpenCall {
  readonly call: SubjectCall;
  readonly close?: () => Promise<void>;
}

async function openCall(name: SubjectName): Promise<OpenCall> {
  switch (name) {
    case "direct":
      return { call: directCall };
    case "direct, fresh keys":
      // The key is made here too: what a caller does anyway is not the facade's cost.
      return { call: (input) => directWithOptions(input, freshOptions()) };
    case "direct, failing":
      return { call: failingCall };
    case "tzientist, both paths":
      return { call: experiment(true) };
    case "tzientist, disabled":
      return { call: experiment(false) };
    case "opossum, defaults": {
      const breaker = new CircuitBreaker(directCall);
      const close = async (): Promise<void> => breaker.shutdown();
      return { call: (input) => breaker.fire(input), close };
    }
    case "cockatiel, breaker":
      return executed(cockatielBreaker());
    case "cockatiel, timeout + breaker":
      return executed(wrap(timeout(10_000, TimeoutStrategy.Aggressive), cockatielBreaker()));
    case "LaunchDarkly, off":
      return openLaunchDarkly("off");
    case "LaunchDarkly, live":
      return openLaunchDarkly("live");
    default:
      throw new CodedError("BENCH_UNKNOWN_SUBJECT", `There is no subject "${name}".`);
  }
}

const failingCall = async (_input: number): Promise<number> => {
  throw prebuilt;
};

let lastOptions: object | null = null;

async function directWithOptions(input: number, options: object): Promise<number> {
  lastOptions = options;
  return input + (lastOptions === null ? 0 : 1);
}

function experiment(enabled: boolean): SubjectCall {
  const name = "bench";
  const parts = { name, control: directCall, candidate: directCall };
  return enabled
    ? experimentAsync(parts)
    : experimentAsync({ ...parts, options: { enabled: () => false } });
}

const cockatielBreaker = (): IPolicy =>
  circuitBreaker(handleAll, { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(5) });

function executed(policy: IPolicy): OpenCall {
  return { call: (input) => policy.execute(() => directCall(input)) };
}

/** No events are sent: the flag comes from memory, and nothing leaves the process. */
async function openLaunchDarkly(stage: "off" | "live"): Promise<OpenCall> {
  const data = new TestData();
  await data.update(data.flag("bench").valueForAll(stage));
  const client: LDClient = startLaunchDarkly("no-key", {
    updateProcessor: data.getFactory(),
    sendEvents: false,
    diagnosticOptOut: true,
    logger: { error: noLog, warn: noLog, info: noLog, debug: noLog },
  });
  await client.waitForInitialization({ timeout: 10 });
  const read = async (input?: number) => LDMigrationSuccess(await directCall(input ?? 0));
  const migration = createMigration<number, number, number, number>(client, {
    readOld: read,
    readNew: read,
    writeOld: read,
    writeNew: read,
    execution: new LDConcurrentExecution(),
    latencyTracking: true,
    errorTracking: true,
  });
  const context = { kind: "user", key };
  const call: SubjectCall = (input) =>
    migration.read("bench", context, LDMigrationStage.Off, input);
  const { origin } = await migration.read("bench", context, LDMigrationStage.Off, 1);
  if ((origin === "new") !== (stage === "live")) {
    throw new CodedError("BENCH_WRONG_PATH", `LaunchDarkly at ${stage} read from ${origin}.`);
  }
  return { call, close: async () => client.close() };
}

const noLog = (): void => undefined;
