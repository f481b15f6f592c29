import { createHash } from "node:crypto";
import { Pool } from "undici";
import { type Clock, sleep, type Timer } from "../../../../base/clock.ts";
import { toError } from "../../../../base/errors.ts";
import { type Random, seededRandom } from "../../../../base/random.ts";
import { type CallKind, quantileOf, type TrafficCounts } from "./counts.ts";

/** Somebody who uses the product. */
export interface Tenant {
  readonly name: string;
  /** The bearer key. */
  readonly key: string;
}

/** Who calls what, and how often. */
export interface LoadSettings {
  readonly origin: string;
  readonly tenants: readonly Tenant[];
  /** Calls of each kind in a second. */
  readonly perSecond: Readonly<Record<CallKind, number>>;
  /** Calls under way at once; more are not made, and counted. */
  readonly concurrencyMax: number;
  readonly seed: number;
}

interface StoredFile {
  readonly tenant: Tenant;
  readonly id: string;
  readonly bytes: number;
  readonly sha256: string;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

const kinds: readonly CallKind[] = ["delete", "upload", "download", "list", "info"];
/** Milliseconds between two rounds of calls. */
const roundMs = 20;
/** Seconds of calls that wait for a place at most; what is due beyond them is not made, and counted. */
const waitingSeconds = 0.5;
const examplesMax = 5;
/** Milliseconds that a call may take before it counts as lost. */
const callLimitMs = 15_000;
/** File sizes in bytes, and up to which of 100 tickets each is drawn: mostly small, a few large. */
const sizes: readonly (readonly [bytes: number, upTo: number])[] = [
  [700, 35],
  [9_000, 65],
  [60_000, 87],
  [400_000, 97],
  [2_000_000, 100],
];

/**
 * Callers with files: look-ups, listings, downloads, uploads and deletions at a steady rate, whether the
 * product keeps up or not, with a bounded number of calls under way. Every answer is checked.
 */
export class Load {
  readonly #settings: LoadSettings;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #pool: Pool;
  readonly #files: StoredFile[] = [];
  /** What uploads stored since the seed, to be deleted again. */
  readonly #extra: StoredFile[] = [];
  readonly #calls: Record<CallKind, number> = {
    info: 0,
    list: 0,
    download: 0,
    upload: 0,
    delete: 0,
  };
  readonly #due: Record<CallKind, number> = { info: 0, list: 0, download: 0, upload: 0, delete: 0 };
  readonly #begun: Record<CallKind, number> = {
    info: 0,
    list: 0,
    download: 0,
    upload: 0,
    delete: 0,
  };
  readonly #answeredBy = { legacy: 0, candidate: 0 };
  readonly #examples: string[] = [];
  readonly #filler: Buffer;
  #times: number[] = [];
  #fellBack = 0;
  #harmed = 0;
  #notMade = 0;
  #fileBytes = 0;
  #candidateSeenMs: number | null = null;
  #underWay = 0;
  #turn = 0;
  #timer: Timer | null = null;
  #lastMs = 0;
  #stopped = false;

  constructor(settings: LoadSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.#random = seededRandom(settings.seed);
    this.#filler = Buffer.from(
      Uint8Array.from({ length: 65_536 }, () => this.#random.next() * 256),
    );
    this.#pool = new Pool(settings.origin, {
      connections: settings.concurrencyMax,
      pipelining: 1,
      headersTimeout: callLimitMs,
      bodyTimeout: callLimitMs,
    });
  }

  /** Stores one file for each tenant, a few at once. Rejects when one cannot be stored. */
  async seed(): Promise<void> {
    const left = [...this.#settings.tenants];
    const store = async (): Promise<void> => {
      for (let tenant = left.pop(); tenant !== undefined; tenant = left.pop()) {
        this.#files.push(await this.#store(tenant));
      }
    };
    await Promise.all(Array.from({ length: 6 }, store));
  }

  /** Begins to call. */
  start(): void {
    this.#lastMs = this.#clock.monotonicMs();
    this.#timer ??= this.#clock.every(roundMs, () => this.#round());
  }

  /** What was seen so far; the quantiles begin anew. */
  counts(): TrafficCounts {
    const times = this.#times.sort((a, b) => a - b);
    this.#times = [];
    return {
      atMs: this.#clock.now(),
      calls: { ...this.#calls },
      answeredBy: { ...this.#answeredBy },
      fellBack: this.#fellBack,
      harmed: this.#harmed,
      examples: [...this.#examples],
      notMade: this.#notMade,
      fileBytes: this.#fileBytes,
      candidateSeenMs: this.#candidateSeenMs,
      p50Ms: quantileOf(times, 0.5),
      p95Ms: quantileOf(times, 0.95),
    };
  }

  /** Calls no more, and lets the calls under way end, for 5 s at most. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    const untilMs = this.#clock.monotonicMs() + 5000;
    while (this.#underWay > 0 && this.#clock.monotonicMs() < untilMs) {
      await sleep(this.#clock, roundMs, undefined, true);
    }
    await this.#pool.destroy();
  }

  #round(): void {
    const { perSecond } = this.#settings;
    const nowMs = this.#clock.monotonicMs();
    const passed = (nowMs - this.#lastMs) / 1000;
    this.#lastMs = nowMs;
    for (const kind of kinds) {
      this.#due[kind] += perSecond[kind] * passed;
      const late = Math.floor(this.#due[kind] - Math.max(1, perSecond[kind] * waitingSeconds));
      if (late < 1) continue;
      this.#due[kind] -= late;
      this.#notMade += late;
    }
    this.#fill();
  }

  /** Gives every free place to a call that is due. */
  #fill(): void {
    while (!this.#stopped && this.#underWay < this.#settings.concurrencyMax) {
      const kind = this.#next();
      if (kind === null) return;
      this.#due[kind] -= 1;
      this.#begun[kind] += 1;
      void this.#call(kind);
    }
  }

  /** The kind that was called least for its rate, so that a slow product gets the same mixture. */
  #next(): CallKind | null {
    const { perSecond } = this.#settings;
    const share = (kind: CallKind): number => this.#begun[kind] / perSecond[kind];
    const due = kinds.filter((kind) => this.#due[kind] >= 1);
    return due.sort((a, b) => share(a) - share(b))[0] ?? null;
  }

  async #call(kind: CallKind): Promise<void> {
    const file = kind === "delete" ? this.#extra.shift() : this.#pick(this.#files);
    if (file === undefined) return;
    this.#underWay += 1;
    const beganMs = this.#clock.monotonicMs();
    try {
      const wrong = await this.#make(kind, file);
      if (wrong !== null) this.#harm(kind, wrong);
    } catch (error) {
      this.#harm(kind, toError(error).message);
    }
    if (kind === "info") this.#times.push(this.#clock.monotonicMs() - beganMs);
    this.#calls[kind] += 1;
    this.#underWay -= 1;
    // At once and not with the next round: a busy machine has no time to leave places empty.
    this.#fill();
  }

  /** Makes a call; what is wrong with its answer, or null. */
  async #make(kind: CallKind, { tenant, id, bytes, sha256 }: StoredFile): Promise<string | null> {
    if (kind === "upload") {
      this.#extra.push(await this.#store(tenant));
      return null;
    }
    const path = {
      info: `/v1/files/${id}`,
      list: "/v1/files?limit=5",
      download: `/v1/files/${id}/content`,
      delete: `/v1/files/${id}`,
    }[kind];
    const answer = await this.#send(kind === "delete" ? "DELETE" : "GET", path, tenant);
    if (kind === "info") this.#note(answer);
    if (answer.status >= 300) return refusal(answer);
    if (kind === "download") {
      this.#fileBytes += answer.body.length;
      return sha256Of(answer.body) === sha256 ? null : "the bytes are not those that were stored";
    }
    if (kind === "delete") return null;
    const told = JSON.parse(answer.body.toString("utf8")) as { id?: unknown; bytes?: unknown };
    if (kind === "list") return Array.isArray((told as { data?: unknown }).data) ? null : "no list";
    return told.id === id && told.bytes === bytes ? null : "it tells of another file";
  }

  #note({ headers }: Answer): void {
    const path = headers["x-changeover-path"];
    if (path !== "legacy" && path !== "candidate") return;
    this.#answeredBy[path] += 1;
    if (path === "candidate") this.#candidateSeenMs = this.#clock.now();
    if (headers["x-changeover-fell-back"] === "true") this.#fellBack += 1;
  }

  async #store(tenant: Tenant): Promise<StoredFile> {
    const body = this.#content();
    this.#turn += 1;
    const answer = await this.#send("PUT", `/v1/files/demo-${this.#turn}.bin`, tenant, body);
    this.#fileBytes += body.length;
    if (answer.status >= 300) throw new Error(refusal(answer));
    const { id, bytes, sha256 } = JSON.parse(answer.body.toString("utf8")) as StoredFile;
    if (sha256 !== sha256Of(body)) throw new Error("the stored bytes are not those that were sent");
    return { tenant, id, bytes, sha256 };
  }

  /** Different bytes each time, so that nothing is stored only once. */
  #content(): Buffer {
    const ticket = this.#random.next() * 100;
    const size = sizes.find(([, upTo]) => ticket < upTo)?.[0] ?? 700;
    const body = Buffer.alloc(Math.round(size * (0.5 + this.#random.next())), this.#filler);
    body.write(`demo ${this.#turn} ${this.#random.next()} `);
    return body;
  }

  async #send(
    method: "GET" | "PUT" | "DELETE",
    path: string,
    { key }: Tenant,
    body: Buffer | null = null,
  ): Promise<Answer> {
    const headers = {
      authorization: `Bearer ${key}`,
      ...(body === null ? {} : { "content-type": "application/octet-stream" }),
    };
    const answer = await this.#pool.request({ method, path, headers, body });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    return { status: answer.statusCode, headers: answer.headers, body: bytes };
  }

  #harm(kind: CallKind, what: string): void {
    this.#harmed += 1;
    if (this.#examples.length < examplesMax) this.#examples.push(`${kind}: ${what}`);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random.next() * list.length)];
  }
}

function refusal({ status, body }: Answer): string {
  return `status ${status} ${body.toString("utf8").slice(0, 200)}`;
}

const sha256Of = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
