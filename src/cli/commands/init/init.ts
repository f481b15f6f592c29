import { stat } from "node:fs/promises";
import { basename, join, relative, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { type FirstProject, firstFiles } from "../../../app/init/first-files.ts";
import { type Command, type CommandContext, usage } from "../../context.ts";
import { type Line, styled } from "../../terminal/text.ts";
import { userName } from "../flags.ts";
import { writeNewFiles } from "./new-files.ts";

interface InitOptions {
  readonly migration?: string;
  readonly operation?: string;
  readonly kind?: "read" | "write";
}

type Names = Required<InitOptions>;

/** How long a flag may live when nobody says so, in days. */
const flagDays = 180;

/** `changeover init [folder]`; asks for what was left out where somebody sits at a terminal. */
export const init: Command<InitOptions> = async (context, { words: [typed = "."], options }) => {
  const folder = resolve(typed);
  const names = await namesOf(context, folder, options);
  const project: FirstProject = {
    ...names,
    owner: userName(),
    removeBy: new Date(context.clock.now() + flagDays * 86_400_000).toISOString().slice(0, 10),
    typescript: await isFile(join(folder, "tsconfig.json")),
  };
  const files = firstFiles(project);
  await writeNewFiles(folder, files);
  const paths = files.map(({ path }) => path);
  return {
    answer: {
      value: { folder, migration: names.migration, operation: names.operation, files: paths },
      lines: [
        ...paths.map((path): Line => [styled("good", "written"), `  ${join(typed, path)}`]),
        "",
        ...nextSteps(project, typed, folder),
      ],
    },
  };
};

function nextSteps(
  { migration, operation, typescript }: FirstProject,
  typed: string,
  folder: string,
): Line[] {
  const name = `${migration}.${operation}`;
  const here = relative(process.cwd(), folder) === "" ? "" : `cd ${typed} && `;
  return [
    styled("strong", "Next:"),
    `  1. ${here}npm install changeover unleash-client`,
    `  2. node changeover.${typescript ? "ts" : "js"}: it runs, and at 0 % legacy answers every call.`,
    "  3. Put your own two functions in their places there.",
    `  4. Set "percentage" in flags/${name}.json: it takes effect at once, without a restart.`,
    "  5. changeover simulate --policy guard.json shows which failures the guard would catch.",
    "  6. With an Unleash: changeover flags push --dry-run. flags/rollout.json then says how the share grows.",
  ];
}

async function namesOf(
  context: CommandContext,
  folder: string,
  { migration, operation, kind }: InitOptions,
): Promise<Names> {
  const fallback: Names = {
    migration: nameFrom(basename(folder)),
    operation: "lookup",
    kind: "read",
  };
  const given = {
    ...(migration === undefined ? {} : { migration }),
    ...(operation === undefined ? {} : { operation }),
    ...(kind === undefined ? {} : { kind }),
  };
  const isAsked = process.stdin.isTTY && process.stderr.isTTY && !context.output.json;
  if (!isAsked || Object.keys(given).length === 3) return { ...fallback, ...given };
  return ask({ ...fallback, ...given }, given, context.signal);
}

/** Asks for what was not given; an empty answer takes what is shown. */
async function ask(shown: Names, given: InitOptions, signal: AbortSignal): Promise<Names> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => undefined);
  terminal.once("close", () =>
    ended.reject(usage("The input ended before every question was answered.")),
  );
  // A terminal that is read line by line keeps Ctrl-C to itself.
  terminal.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const question = async (field: keyof Names, text: string): Promise<string> => {
    if (given[field] !== undefined) return shown[field];
    const asked = terminal.question(`${text} [${shown[field]}] `, { signal });
    const answer = await Promise.race([asked, ended.promise]);
    return answer.trim() === "" ? shown[field] : answer.trim();
  };
  try {
    const migration = await question("migration", "What is moved, in one word?");
    const operation = await question("operation", "Which of its operations comes first?");
    const kind = await question("kind", "Does it read or write?");
    if (kind !== "read" && kind !== "write") {
      throw usage(`${JSON.stringify(kind.slice(0, 40))} is not accepted. Use read or write.`);
    }
    return { migration, operation, kind };
  } finally {
    terminal.close();
  }
}

/** A folder's name as a migration's. */
function nameFrom(text: string): string {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 40);
  return name === "" ? "app" : name;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
