import { createHmac } from "node:crypto";
import type { Actor, JournalEntry } from "../../migration/journal.ts";

/** How loud a notice is: `critical` wakes somebody, `warning` is for working hours, `info` is for the record. */
export type NoticeSeverity = "critical" | "warning" | "info";

/** Something that people should hear of, made from one journal entry. */
export interface Notice {
  /** The same for every try of the same notice, so that a receiver can drop repetitions. */
  readonly id: string;
  /** ISO 8601, when it happened. */
  readonly at: string;
  readonly kind: JournalEntry["kind"];
  readonly severity: NoticeSeverity;
  readonly operation: string;
  readonly by: Actor;
  readonly from: string | null;
  readonly to: string | null;
  /** One line, such as `files.upload was rolled back to legacy`. */
  readonly title: string;
  /** One sentence: why. */
  readonly why: string;
}

/** Which shape a webhook's body has: ours, or what Slack's incoming webhooks take. */
export type NoticeFormat = "json" | "slack";

interface Row {
  readonly severity: NoticeSeverity;
  readonly title: (entry: JournalEntry) => string;
}

/** What is told, and how loudly; kinds that are not listed stay in the journal. */
const told: Partial<Record<JournalEntry["kind"], Row>> = {
  rollback: {
    severity: "critical",
    title: ({ operation }) => `${operation} was rolled back to legacy`,
  },
  rearm: {
    severity: "info",
    title: ({ operation }) => `${operation} was re-armed; its share stays at 0 % until it is set`,
  },
  flag: {
    severity: "info",
    title: ({ operation, to }) => `The flag of ${operation} was changed to ${to ?? "nothing"}`,
  },
  rollout: {
    severity: "info",
    title: ({ operation, to }) => `The rollout of ${operation}: ${to ?? "changed"}`,
  },
  verdict: {
    severity: "warning",
    title: ({ operation, to }) => `The guard's verdict on ${operation} is ${to ?? "unknown"}`,
  },
};

/** The notice of a journal entry, or null when nobody has to hear of it. Pure. */
export function noticeOf(entry: JournalEntry): Notice | null {
  const row = told[entry.kind];
  if (row === undefined) return null;
  const { at, kind, operation, actor, from, to, why } = entry;
  const id = createHmac("sha256", "notice")
    .update(JSON.stringify([at, kind, operation, actor.name, to]))
    .digest("hex")
    .slice(0, 24);
  const { severity, title } = row;
  return { id, at, kind, severity, operation, by: actor, from, to, title: title(entry), why };
}

/**
 * The body of a webhook. `slack` is the form of Slack's incoming webhooks
 * (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks), in which `&`, `<` and `>`
 * have to be escaped; Mattermost and Rocket.Chat take it too.
 */
export function noticeBody(notice: Notice, format: NoticeFormat): string {
  if (format === "json") return JSON.stringify({ version: 1, ...notice });
  const { severity, title, why, by, at } = notice;
  const mark = { critical: ":rotating_light:", warning: ":warning:", info: ":information_source:" };
  const text = `${mark[severity]} *${forSlack(title)}*\n${forSlack(why)}\n_${forSlack(by.type)} ${forSlack(by.name)}, ${at}_`;
  return JSON.stringify({ text });
}

/**
 * The signature of a body: hex HMAC-SHA256, under the shared secret, of the timestamp (seconds since the
 * Unix epoch), a dot and the body. A receiver compares it in constant time and refuses old timestamps.
 */
export function noticeSignature(secret: string, timestamp: string, body: string): string {
  return createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex");
}

const forSlack = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
