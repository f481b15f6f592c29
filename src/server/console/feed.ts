import type { ServerResponse } from "node:http";
import type { App } from "../../app/app.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { JournalEntry } from "../../migration/journal.ts";
import { consoleFull } from "../errors.ts";
import type { GatewayLimits } from "../gateway-limits.ts";
import {
  type FeedSections,
  historyPointsMax,
  journalQueryLimit,
  rowOf,
  sectionsOf,
  withoutValues,
} from "./feed-state.ts";

/** What a feed is made of. */
export interface FeedOptions {
  readonly app: App;
  readonly clock: Clock;
  readonly limits: Pick<GatewayLimits, "consoleClientsMax" | "consoleBufferBytes">;
}

/** One page that is open somewhere. */
interface Client {
  readonly response: ServerResponse;
  readonly unlocked: boolean;
  /** What it was sent last, by section, as JSON. */
  readonly sent: Map<keyof FeedSections, string>;
  /** Moment of the newest point it has. */
  pointMs: number;
}

/** The state as JSON, made once for all pages. */
interface State {
  readonly at: string;
  readonly operations: readonly string[];
  readonly open: ReadonlyMap<keyof FeedSections, string>;
  readonly locked: ReadonlyMap<keyof FeedSections, string>;
}

const everyMs = 1000;

/**
 * The state of the process as server-sent events: all of it when a page comes, then once a second what
 * has changed, and at least the time, so that a page knows how old its data is. Looks at nothing while
 * nobody watches. A page that does not read as fast as it is sent to is disconnected.
 */
export class Feed {
  readonly #options: FeedOptions;
  readonly #clients = new Set<Client>();
  #timer: Timer | null = null;
  #journal: readonly JournalEntry[] = [];
  #readingJournal: Promise<void> | null = null;
  #closed = false;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Pages that are connected. */
  get clients(): number {
    return this.#clients.size;
  }

  /** Throws `GATEWAY_CONSOLE_FULL` when no further page can be served. */
  admit(): void {
    const { consoleClientsMax } = this.#options.limits;
    if (this.#closed || this.#clients.size >= consoleClientsMax) {
      throw consoleFull(consoleClientsMax);
    }
  }

  /** Sends everything, and from then on what changes, until the other side goes or falls behind. */
  async add(response: ServerResponse, unlocked: boolean): Promise<void> {
    const client: Client = { response, unlocked, sent: new Map(), pointMs: 0 };
    this.#clients.add(client);
    const forget = (): void => this.#forget(client);
    response.once("close", forget);
    response.once("error", forget);
    await this.#readJournal();
    if (this.#clients.has(client)) this.#send(client, this.#state());
    if (this.#clients.size > 0) {
      this.#timer ??= this.#options.clock.every(everyMs, () => this.#tick());
    }
  }

  /** Ends every connection. */
  close(): void {
    this.#closed = true;
    for (const client of this.#clients) {
      client.response.end();
      this.#forget(client);
    }
  }

  #tick(): void {
    void this.#readJournal();
    const state = this.#state();
    for (const client of this.#clients) this.#send(client, state);
  }

  #forget(client: Client): void {
    this.#clients.delete(client);
    if (this.#clients.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #state(): State {
    const { app } = this.#options;
    const sections = sectionsOf(app, this.#journal);
    const open = new Map<keyof FeedSections, string>();
    for (const name of Object.keys(sections) as (keyof FeedSections)[]) {
      open.set(name, JSON.stringify(sections[name]));
    }
    const locked = new Map(open);
    locked.set("mismatches", JSON.stringify(withoutValues(sections.mismatches)));
    const operations = sections.operations.map(({ name }) => name);
    return { at: new Date(this.#options.clock.now()).toISOString(), operations, open, locked };
  }

  #send(client: Client, state: State): void {
    const { response, unlocked, sent } = client;
    if (response.writableLength > this.#options.limits.consoleBufferBytes) {
      // Whatever is still waiting would be old news; the page connects again and gets the present.
      this.#options.app.logger.info({ waitingBytes: response.writableLength }, "Console too slow");
      response.destroy();
      this.#forget(client);
      return;
    }
    const parts = [`"at":${JSON.stringify(state.at)}`, `"unlocked":${unlocked}`];
    for (const [name, json] of unlocked ? state.open : state.locked) {
      if (sent.get(name) === json) continue;
      sent.set(name, json);
      parts.push(`${JSON.stringify(name)}:${json}`);
    }
    parts.push(`"history":${JSON.stringify(this.#newPoints(client, state.operations))}`);
    response.write(`data: {${parts.join(",")}}\n\n`);
  }

  #newPoints(client: Client, operations: readonly string[]): Record<string, (number | null)[][]> {
    const { app } = this.#options;
    const found: Record<string, (number | null)[][]> = {};
    let newestMs = client.pointMs;
    for (const name of operations) {
      const points = app.history.points(name).slice(-historyPointsMax);
      const fresh = points.filter(({ atMs }) => atMs > client.pointMs);
      if (fresh.length === 0) continue;
      found[name] = fresh.map(rowOf);
      newestMs = Math.max(newestMs, fresh.at(-1)?.atMs ?? 0);
    }
    client.pointMs = newestMs;
    return found;
  }

  /** Keeps what was read last when the journal cannot be read; one reading at a time. */
  #readJournal(): Promise<void> {
    const { app } = this.#options;
    this.#readingJournal ??= app.control
      .journal({ limit: journalQueryLimit })
      .then(
        (entries) => {
          this.#journal = entries;
        },
        (error: unknown) => app.logger.warn({ err: error }, "The console cannot read the journal"),
      )
      .finally(() => {
        this.#readingJournal = null;
      });
    return this.#readingJournal;
  }
}
