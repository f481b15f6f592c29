import { defaultPolicy } from "../../changeover.ts";
import { checkOperationName } from "../../migration/operation.ts";

/** What a project of its own begins with. */
export interface FirstProject {
  /** As in `image`: the name of the kill switch. */
  readonly migration: string;
  /** As in `resize`: the part behind the dot. */
  readonly operation: string;
  readonly kind: "read" | "write";
  /** Whom to ask about the flags. */
  readonly owner: string;
  /** When the flags should be gone, YYYY-MM-DD. */
  readonly removeBy: string;
  /** The example is TypeScript, and else JavaScript. */
  readonly typescript: boolean;
}

/** One file to write, by its path below the project's folder. */
export interface FirstFile {
  readonly path: string;
  readonly text: string;
}

/** Where the schemas lie once the package is installed, as seen from `flags/`. */
const schemas = "../node_modules/changeover/flags";

/**
 * The files of a first migration: two flags at 0 %, a rollout plan, the guard's policy and an example that
 * runs. Throws `MIGRATION_INVALID_NAME`. Pure.
 */
export function firstFiles(project: FirstProject): readonly FirstFile[] {
  const { migration, operation, owner, removeBy, typescript } = project;
  const name = `${migration}.${operation}`;
  checkOperationName(name);
  const flag = { owner, removeBy, enabled: true };
  return [
    json(`flags/${migration}.json`, {
      $schema: `${schemas}/flag.schema.json`,
      kind: "migration",
      name: migration,
      purpose: `Kill switch of the ${migration} migration: off means legacy for every operation.`,
      ...flag,
    }),
    json(`flags/${name}.json`, {
      $schema: `${schemas}/flag.schema.json`,
      kind: "operation",
      name,
      purpose: `Share of ${name} on the new path.`,
      ...flag,
      percentage: 0,
      shadowPercentage: 0,
      groupId: migration,
      stickiness: "routingKey",
    }),
    json("flags/rollout.json", {
      $schema: `${schemas}/rollout.schema.json`,
      profile: "strict",
      quiet: [{ from: "Fri 15:00", to: "Mon 08:00", timeZone: "UTC" }],
      order: [{ operations: [name] }],
    }),
    json("guard.json", firstPolicy()),
    { path: typescript ? "changeover.ts" : "changeover.js", text: example(project, name) },
  ];
}

/** The settings that are changed first, with the values that they have anyway. */
function firstPolicy(): unknown {
  const { errorRate, timeoutRate, latency, mismatch, exposureBudget } = defaultPolicy;
  const rate = ({ action, increase, callsMin }: typeof errorRate) => ({
    action,
    increase,
    callsMin,
  });
  return {
    errorRate: rate(errorRate),
    timeoutRate: rate(timeoutRate),
    latency: { action: latency.action, increase: latency.increase, factor: latency.factor },
    mismatch: { action: mismatch.action, increase: mismatch.increase },
    exposureBudget: { harmedCallsPerDay: exposureBudget.harmedCallsPerDay },
  };
}

/** The example prints; nothing in here does. */
const print = ["console", "log"].join(".");

function example({ operation, kind, typescript }: FirstProject, name: string): string {
  const id = operation.replace(/-+(.)?/g, (_dash, next: string | undefined) =>
    (next ?? "").toUpperCase(),
  );
  const wrapped = /^[a-z]/.test(id) && !reserved.has(id) ? id : "run";
  const input = typescript ? "input: string" : "input";
  return `import { readFileSync } from "node:fs";
import { createChangeover, fileFlags } from "changeover";

const here = import.meta.dirname;
const changeover = await createChangeover({
  // What is set at run time, such as a rollback, is kept in .changeover: not for version control.
  flags: fileFlags({ folder: \`\${here}/flags\`, stateFolder: \`\${here}/.changeover\` }),
  guard: JSON.parse(readFileSync(\`\${here}/guard.json\`, "utf8")),
});

const ${wrapped} = changeover.migrate({
  name: ${JSON.stringify(name)},
  kind: ${JSON.stringify(kind)},
  legacy: async (${input}) => \`\${input} by the old code\`,
  candidate: async (${input}) => \`\${input} by the new code\`,
});

${print}(await ${wrapped}("answered", { key: "customer-7" }));
await changeover.close();
`;
}

/** Words that the example's function cannot be called. */
const reserved: ReadonlySet<string> = new Set(
  "await break case catch changeover class clock console const continue debugger default delete do else enum export extends false finally folder for function here if import in instanceof let new null return static super switch this throw true try typeof var void while with yield".split(
    " ",
  ),
);

const json = (path: string, value: unknown): FirstFile => ({
  path,
  text: `${JSON.stringify(value, null, 2)}\n`,
});
