import * as v from "valibot";
import { shortText, valid } from "../valid-input.ts";

/** One rollback that an alert asks for. */
export interface AlertRequest {
  /** Full or short name, or `all`. */
  readonly operation: string;
  readonly reason: string;
}

/** What a delivery of Alertmanager asks for. */
export interface AlertDelivery {
  readonly rollbacks: readonly AlertRequest[];
  /** Alerts that ask for nothing: resolved, or without the label `action="rollback"`. */
  readonly ignored: number;
}

const labels = v.record(v.string(), v.string());
const schema = v.object({
  version: v.literal("4", "use the webhook format of Alertmanager, version 4"),
  alerts: v.pipe(
    v.array(
      v.object({
        status: v.picklist(["firing", "resolved"], "use firing or resolved"),
        labels,
        annotations: v.optional(labels, {}),
      }),
    ),
    v.maxLength(1000, "send at most 1000 alerts"),
  ),
});
const name = shortText(1, 200);

/**
 * Reads a delivery in the form of https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
 * Only firing alerts with the labels `action="rollback"` and `operation` ask for something; `resolved`
 * never re-arms. Each operation is named once, with the first alert's reason.
 */
export function alertDelivery(body: unknown): AlertDelivery {
  const { alerts } = valid(schema, body, "body");
  const found = new Map<string, string>();
  let ignored = 0;
  for (const { status, labels: given, annotations } of alerts) {
    if (status !== "firing" || given["action"] !== "rollback") {
      ignored += 1;
      continue;
    }
    const operation = valid(name, given["operation"], "alerts.labels.operation");
    const alert = given["alertname"] ?? "an alert";
    const summary = annotations["summary"] ?? annotations["description"] ?? "no summary given";
    if (!found.has(operation)) found.set(operation, `${alert}: ${summary}`.slice(0, 500));
  }
  const rollbacks = [...found].map(([operation, reason]) => ({ operation, reason }));
  return { rollbacks, ignored };
}
