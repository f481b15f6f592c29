import type { FlagState } from "../../migration/flags.ts";
import type { FleetLatch, InstanceStatus } from "../../migration/fleet.ts";
import { type EvidenceTotals, grownBy } from "../evidence.ts";
import { FleetJudge } from "../fleet/fleet-judge.ts";
import { PooledTotals } from "../fleet/pooled-totals.ts";
import { totalsOf } from "../fleet/reported-totals.ts";
import { stageOf } from "../gates.ts";
import { type Exposure, type Judged, judgeAlone, judgeTogether } from "../judgement.ts";
import type { RolloutRecord, TotalsReading } from "../ports.ts";
import { within } from "../within.ts";
import type { InstanceView, World } from "../world.ts";
import type { RolloutControllerOptions, RolloutOperation } from "./product.ts";

/** What was read once for all operations. */
export interface Look {
  /** Null: there is no fleet. */
  readonly fleet: {
    /** Null: the fleet could not be reached. */
    readonly latches: readonly FleetLatch[] | null;
    readonly instances: readonly InstanceStatus[] | null;
    readonly totals: TotalsReading;
  } | null;
  readonly monotonicMs: number;
}

/** What is remembered of one operation from look to look. */
interface Watched {
  readonly pooled: PooledTotals;
  readonly judge: FleetJudge;
  last: EvidenceTotals | null;
  lookedMs: number | null;
  counted: EvidenceTotals | null;
  passedMs: number;
}

/** Reads what steps are decided by: the flag system, the fleet and this process itself. */
export class WorldReader {
  readonly #options: RolloutControllerOptions;
  readonly #timeoutMs: number;
  readonly #watched = new Map<string, Watched>();
  /** What could not be read at the last look: said once, and not every second. */
  readonly #unread = new Set<string>();

  constructor(options: RolloutControllerOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 3000;
  }

  /** Reads the fleet, and counts what came together since the last look. Never rejects. */
  async look(): Promise<Look> {
    const { product, fleet, clock } = this.#options;
    const operations = product.operations();
    const look = fleet === null ? null : await this.#lookAtFleet(operations);
    const monotonicMs = clock.monotonicMs();
    for (const operation of operations) this.#count(operation, look, monotonicMs);
    return { fleet: look, monotonicMs };
  }

  /** The flag as the flag system has it; null where it cannot be read. */
  async flag(operation: string): Promise<FlagState | null> {
    const { control } = this.#options;
    if (control === null) return null;
    return this.#orNull(`the flag of ${operation}`, control.read(operation));
  }

  /** The latch that counts for every caller; null: not known. */
  latch(operation: RolloutOperation, look: Look): World["latch"] {
    if (look.fleet === null) return operation.latch;
    if (look.fleet.latches === null) return null;
    const found = look.fleet.latches.find((each) => each.operation === operation.name);
    return found ?? { tripped: false, epoch: 0, reason: "" };
  }

  /** The fleet's verdict on pooled counts, or null without a fleet. */
  pooledVerdict(operation: string): ReturnType<FleetJudge["verdict"]> | null {
    const { fleet, clock } = this.#options;
    if (fleet === null) return null;
    return this.#watched.get(operation)?.judge.verdict(clock.now()) ?? null;
  }

  beginPeriod(operation: string): void {
    this.#watched.get(operation)?.judge.beginPeriod();
  }

  async world(
    operation: RolloutOperation,
    record: RolloutRecord,
    flag: FlagState | null,
    facts: { look: Look; reached: ReadonlyMap<string, number>; leaseEpoch: number },
  ): Promise<World> {
    const { clock } = this.#options;
    const { name, shadowable } = operation;
    const watched = this.#watched.get(name);
    return {
      record,
      nowMs: clock.now(),
      passedMs: watched?.passedMs ?? 0,
      flag,
      latch: this.latch(operation, facts.look),
      instances: instancesOf(name, facts.look),
      judged: this.#judged(operation, record, facts.look),
      counted: watched?.counted ?? null,
      drilledMs: await this.#drilledMs(name, record),
      reached: facts.reached,
      shadowable,
      leaseEpoch: facts.leaseEpoch,
    };
  }

  #judged({ name, shadowable }: RolloutOperation, record: RolloutRecord, look: Look): Judged {
    const { percentage, shadowPercentage } = stageOf(record);
    const shadowed = shadowable && shadowPercentage > 0;
    const exposure: Exposure = percentage > 0 ? "served" : shadowed ? "shadow" : "none";
    const own = judgeAlone(this.#options.product.verdicts(name), exposure);
    const pooled = this.pooledVerdict(name);
    if (pooled === null || look.fleet === null) return own;
    if (look.fleet.instances === null) {
      return { kind: "blind", sentence: "The fleet cannot be reached." };
    }
    const instances = look.fleet.instances
      .filter((each) => each.live)
      .flatMap((each) => {
        const verdict = each.operations.find(({ operation }) => operation === name)?.verdict;
        return isKind(verdict) ? [{ instance: each.instance, kind: verdict }] : [];
      });
    // Rates of served calls say nothing where nobody is served; what runs in the shadow is judged by each.
    if (exposure !== "served") {
      const alarmed = judgeTogether({ kind: "healthy", sentence: own.sentence }, instances);
      return alarmed.kind === "suspect" || alarmed.kind === "blind" ? alarmed : own;
    }
    const { rule, kind, sentence } = pooled;
    return judgeTogether({ kind, sentence: `All instances, ${rule}: ${sentence}` }, instances);
  }

  async #lookAtFleet(operations: readonly RolloutOperation[]): Promise<NonNullable<Look["fleet"]>> {
    const { fleet, totals } = this.#options;
    if (fleet === null) return { latches: null, instances: null, totals: { blind: "No fleet." } };
    const names = operations.map(({ name }) => name);
    const [latches, instances, read] = await Promise.all([
      this.#orNull("the fleet's latches", fleet.load()),
      this.#orNull("the fleet's reports", fleet.instances()),
      totals === undefined ? null : this.#orNull("the source of counts", totals.read(names)),
    ]);
    if (totals !== undefined) {
      return { latches, instances, totals: read ?? { blind: "The counts cannot be read." } };
    }
    const reported: TotalsReading =
      instances === null
        ? { blind: "The fleet's reports cannot be read." }
        : totalsOf(instances, names);
    return { latches, instances, totals: reported };
  }

  #count({ name, kind }: RolloutOperation, fleet: Look["fleet"], monotonicMs: number): void {
    const { product, policy, clock } = this.#options;
    const watched = this.#watched.get(name) ?? {
      pooled: new PooledTotals(),
      judge: new FleetJudge(name, policy, kind === "read"),
      last: null,
      lookedMs: null,
      counted: null,
      passedMs: 0,
    };
    this.#watched.set(name, watched);
    watched.passedMs = watched.lookedMs === null ? 0 : monotonicMs - watched.lookedMs;
    watched.lookedMs = monotonicMs;
    if (fleet === null) {
      const now = product.totals(name);
      watched.counted = watched.last === null ? null : grownBy(watched.last, now);
      watched.last = now;
      return;
    }
    if ("blind" in fleet.totals) {
      watched.counted = null;
      watched.judge.lose(fleet.totals.blind, clock.now());
      return;
    }
    const mine = fleet.totals.totals.filter(({ operation }) => operation === name);
    if (mine.length === 0) {
      watched.counted = null;
      watched.judge.lose("No instance reports this operation.", clock.now());
      return;
    }
    const counts = watched.pooled.add(mine);
    watched.counted = counts.sum;
    watched.judge.add(counts, Math.floor(monotonicMs / 1000));
  }

  async #drilledMs(operation: string, record: RolloutRecord): Promise<number | null> {
    const { drilledMs } = this.#options;
    if (drilledMs === undefined || stageOf(record).drillMaxAgeDays === null) return null;
    return this.#within("the drill certificates", drilledMs(operation)).catch(() => null);
  }

  async #orNull<T>(what: string, work: Promise<T>): Promise<T | null> {
    try {
      const read = await this.#within(what, work);
      this.#unread.delete(what);
      return read;
    } catch (error) {
      const { logger } = this.#options;
      if (!this.#unread.has(what)) logger.warn({ what, err: error }, "A rollout cannot read this");
      this.#unread.add(what);
      return null;
    }
  }

  #within<T>(what: string, work: Promise<T>): Promise<T> {
    return within(this.#options.clock, this.#timeoutMs, what, work);
  }
}

function instancesOf(operation: string, { fleet }: Look): readonly InstanceView[] | null {
  if (fleet === null) return null;
  return (fleet.instances ?? [])
    .filter((each) => each.live)
    .flatMap((each) => {
      const report = each.operations.find((one) => one.operation === operation);
      if (report === undefined) return [];
      const { percentage, latched } = report;
      const fresh = each.flags.state === "fresh";
      return [{ instance: each.instance, percentage, fresh, latched }];
    });
}

const kinds = ["healthy", "suspect", "breached", "inconclusive", "blind"] as const;

const isKind = (verdict: string | undefined): verdict is (typeof kinds)[number] =>
  kinds.some((kind) => kind === verdict);
