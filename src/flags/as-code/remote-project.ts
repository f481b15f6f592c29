import * as v from "valibot";
import { CodedError } from "../../base/errors.ts";
import type { FlagLink } from "../flag-file.ts";
import { type AdminApi, featurePath, projectPath } from "../unleash/admin-api.ts";
import { parseRemoteEnvironment, type RemoteEnvironment } from "../unleash/remote-flag.ts";
import type { FlagTag, WantedFlag } from "./wanted-flag.ts";

/** One flag as Unleash has it, in one environment. */
export interface RemoteFlag {
  readonly name: string;
  readonly description: string;
  readonly tags: readonly FlagTag[];
  readonly links: readonly FlagLink[];
  /** Flags that must be on for this one to be. */
  readonly parents: readonly string[];
  readonly environment: RemoteEnvironment;
}

/** What Unleash has of the flags that matter here. */
export interface RemoteProject {
  readonly flags: ReadonlyMap<string, RemoteFlag>;
  readonly tagTypes: readonly string[];
  /** A project's default strategy is what a flag gets that is switched on without one. */
  readonly hasDefaultStrategy: boolean;
}

const tags = v.array(v.object({ type: v.string(), value: v.string() }));
const schemas = {
  names: v.object({ features: v.array(v.object({ name: v.string() })) }),
  tagTypes: v.object({ tagTypes: v.array(v.object({ name: v.string() })) }),
  tags: v.object({ tags }),
  overview: v.object({
    environments: v.optional(
      v.array(v.object({ environment: v.string(), defaultStrategy: v.optional(v.unknown()) })),
      [],
    ),
  }),
  feature: v.object({
    name: v.string(),
    description: v.nullish(v.string()),
    environments: v.array(v.looseObject({ name: v.string() })),
    dependencies: v.optional(
      v.array(v.object({ feature: v.string(), enabled: v.optional(v.boolean(), true) })),
      [],
    ),
    links: v.optional(v.array(v.object({ url: v.string(), title: v.nullish(v.string()) })), []),
  }),
};

/**
 * Reads the wanted flags, and all others whose names begin as theirs do (`<migration>.`). Throws
 * `FLAGS_UNLEASH_*`.
 */
export async function readRemoteProject(
  api: AdminApi,
  wanted: readonly WantedFlag[],
): Promise<RemoteProject> {
  const place = api.access;
  const read = <T>(path: string, schema: v.GenericSchema<unknown, T>): Promise<T> =>
    api.retry(async () => parse(path, schema, await api.sendOnce({ method: "GET", path })));
  const { features } = await read(`${projectPath(place)}/features`, schemas.names);
  const known = await read("/tag-types", schemas.tagTypes);
  const overview = await read(`${projectPath(place)}/overview`, schemas.overview);
  const prefixes = wanted
    .filter(({ type }) => type === "kill-switch")
    .map(({ name }) => `${name}.`);
  const names = features
    .map(({ name }) => name)
    .filter(
      (name) =>
        wanted.some((each) => each.name === name) ||
        prefixes.some((prefix) => name.startsWith(prefix)),
    );
  const flags = new Map<string, RemoteFlag>();
  for (const name of names) {
    const feature = await read(featurePath(place, name), schemas.feature);
    const tagged = await read(`/features/${encodeURIComponent(name)}/tags`, schemas.tags);
    const here = feature.environments.find((each) => each.name === place.environment);
    if (here === undefined) throw noEnvironment(name, place.environment);
    flags.set(name, {
      name,
      description: feature.description ?? "",
      tags: tagged.tags,
      links: feature.links.map(({ url, title }) => ({ url, title: title ?? "" })),
      parents: feature.dependencies.filter((each) => each.enabled).map((each) => each.feature),
      environment: parseRemoteEnvironment(name, here),
    });
  }
  const defaults = overview.environments.find((each) => each.environment === place.environment);
  return {
    flags,
    tagTypes: known.tagTypes.map(({ name }) => name),
    hasDefaultStrategy: (defaults?.defaultStrategy ?? null) !== null,
  };
}

function parse<T>(path: string, schema: v.GenericSchema<unknown, T>, reply: unknown): T {
  const parsed = v.safeParse(schema, reply);
  if (parsed.success) return parsed.output;
  const at = v.getDotPath(parsed.issues[0]) ?? "the reply";
  throw new CodedError(
    "FLAGS_UNLEASH_REJECTED",
    `Unleash's reply to GET ${path} has another shape than expected at ${at}.`,
    { status: 502 },
  );
}

function noEnvironment(flag: string, environment: string): CodedError {
  return new CodedError(
    "FLAGS_UNKNOWN",
    `Unleash has no environment "${environment}" for "${flag}". Set CHANGEOVER_UNLEASH_ENVIRONMENT to one it has.`,
    { status: 404, details: { flag, environment } },
  );
}
