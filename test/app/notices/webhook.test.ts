import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import { noticeSignature } from "../../../src/app/notices/notice.ts";
import { NoticingJournal } from "../../../src/app/notices/noticing-journal.ts";
import { Webhook, type WebhookOptions } from "../../../src/app/notices/webhook.ts";
import type { LogFields } from "../../../src/base/logger.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { ManualClock } from "../../../src/base/manual-clock.ts";
import { type JournalEntry, MemoryJournal } from "../../../src/migration/journal.ts";

const entry: JournalEntry = {
  at: "2026-11-21T03:00:00.000Z",
  operation: "files.upload",
  kind: "rollback",
  actor: { type: "rule", name: "error-rate" },
  from: "candidate",
  to: "legacy",
  why: "12 of 80 calls <failed> & more",
  evidence: {},
};

interface Delivery {
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

describe("notices", () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  /** A receiver that answers with these statuses, the last one for ever; 0 cuts the connection. */
  async function receiver(...statuses: number[]) {
    const got: Delivery[] = [];
    server = createServer(async (request, response) => {
      const body = await text(request);
      got.push({ headers: request.headers, body });
      const status = statuses[Math.min(got.length, statuses.length) - 1] ?? 200;
      if (status === 0) request.socket.destroy();
      else response.writeHead(status, { location: "http://127.0.0.1:9/" }).end();
    });
    await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    return { got, url: `http://127.0.0.1:${port}/hook/secret-path` };
  }

  function setUp(url: string, options: Partial<WebhookOptions> = {}) {
    const errors: LogFields[] = [];
    const logger = { ...silentLogger, error: (fields: LogFields) => errors.push(fields) };
    const clock = new ManualClock();
    const common = { url, clock, logger, secret: null, format: "json", pauseMs: 1 } as const;
    const webhook = new Webhook({ ...common, ...options });
    const kept = new MemoryJournal();
    const journal = new NoticingJournal(kept, (notice) => webhook.send(notice));
    return { webhook, journal, kept, errors, clock };
  }

  it("tell of a rollback once it is in the journal, signed with the shared secret", async () => {
    const { got, url } = await receiver(200);
    const secret = "sixteen characters";
    const { webhook, journal, kept } = setUp(url, { secret });
    await journal.append(entry);
    await webhook.idle();
    expect(await kept.read()).toEqual([entry]);
    const [{ headers, body } = { headers: {}, body: "" }] = got;
    expect(JSON.parse(body)).toMatchObject({
      version: 1,
      severity: "critical",
      operation: "files.upload",
      by: { type: "rule", name: "error-rate" },
      title: "files.upload was rolled back to legacy",
      why: entry.why,
    });
    const timestamp = String(headers["x-changeover-timestamp"]);
    const signature = `sha256=${noticeSignature(secret, timestamp, body)}`;
    expect(headers["x-changeover-signature"]).toBe(signature);
  });

  it("are tried again after a lost connection, a 500 and a 429, under the same id", async () => {
    const { got, url } = await receiver(0, 500, 429, 204);
    const { webhook, journal } = setUp(url);
    await journal.append(entry);
    await webhook.idle();
    expect(got).toHaveLength(4);
    expect(new Set(got.map(({ headers }) => headers["x-changeover-delivery"])).size).toBe(1);
    expect(webhook.counts).toEqual({ delivered: 1, failed: 0 });
  });

  it.each([400, 404, 302])("are given up at once when the receiver answers %i", async (status) => {
    const { got, url } = await receiver(status);
    const { webhook, journal, errors } = setUp(url, status === 302 ? { retries: 0 } : {});
    await journal.append(entry);
    await webhook.idle();
    expect([got.length, webhook.counts]).toEqual([1, { delivered: 0, failed: 1 }]);
    expect(JSON.stringify(errors)).not.toContain("secret-path");
  });

  it("are written for Slack with its three characters escaped", async () => {
    const { got, url } = await receiver(200);
    const { webhook, journal } = setUp(url, { format: "slack" });
    await journal.append(entry);
    await webhook.idle();
    const { text: message } = JSON.parse(got[0]?.body ?? "{}") as { text: string };
    expect(message).toContain("12 of 80 calls &lt;failed&gt; &amp; more");
  });

  it("are not made of what stays in the journal", async () => {
    const { got, url } = await receiver(200);
    const { webhook, journal, kept } = setUp(url);
    await journal.append({ ...entry, kind: "start" });
    await webhook.idle();
    expect([got.length, (await kept.read()).length]).toEqual([0, 1]);
  });

  it("do not keep a process from ending", async () => {
    const { url } = await receiver(500);
    const { webhook, journal, clock } = setUp(url, { pauseMs: 60_000 });
    await journal.append(entry);
    const closed = webhook.close();
    clock.advance(2000);
    await closed;
    expect(webhook.counts).toEqual({ delivered: 0, failed: 1 });
  });
});
