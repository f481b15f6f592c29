import * as v from "valibot";
import { systemClock } from "../../base/clock.ts";
import { CodedError } from "../../base/errors.ts";
import { systemRandom } from "../../base/random.ts";
import { shadowFlagOf } from "../features.ts";
import { parseUnleashAddress, requireText } from "./address.ts";
import { AdminApi, projectPath } from "./admin-api.ts";
import type { UnleashControlOptions } from "./unleash-control.ts";

const schema = v.object({ features: v.array(v.object({ name: v.string() })) });

/**
 * The operations that an Unleash has flags for: every flag whose shadow's flag is there too, which
 * `changeover flags push` always makes. For whoever has no flag files at hand. Throws what `UnleashControl`
 * throws.
 */
export async function unleashOperations(options: UnleashControlOptions): Promise<string[]> {
  const api = new AdminApi({
    adminUrl: parseUnleashAddress(options.url).admin,
    token: requireText("token", options.token),
    project: options.project ?? "default",
    environment: options.environment ?? "development",
    tryMs: options.tryMs ?? 3000,
    deadlineMs: options.deadlineMs ?? 3000,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  });
  const path = `${projectPath(api.access)}/features`;
  const reply = v.safeParse(schema, await api.retry(() => api.sendOnce({ method: "GET", path })));
  if (!reply.success) {
    throw new CodedError(
      "FLAGS_UNLEASH_REJECTED",
      `Unleash's reply to GET ${path} has another shape than expected.`,
      { status: 502 },
    );
  }
  const names = new Set(reply.output.features.map(({ name }) => name));
  return [...names].filter((name) => names.has(shadowFlagOf(name))).sort();
}
