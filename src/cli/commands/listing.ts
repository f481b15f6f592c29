import type { LeftPart } from "../../files/file-manager.ts";
import { type Command, usage } from "../context.ts";
import type { FileDoor, FileFacts, ListOrder, Routing } from "../doors/file-door.ts";
import { exitOf, exitOfMany } from "../exit-codes.ts";
import { describe } from "../output.ts";
import { withFiles } from "../session.ts";
import { bytesText, counted, type Line, styled, table } from "../terminal/text.ts";

interface RoutingOptions {
  readonly path?: Routing["path"];
  readonly key?: string;
}

interface ListOptions extends RoutingOptions {
  readonly limit: number;
  readonly after?: string;
  readonly purpose?: string;
  readonly all?: boolean;
}

/** The most files that `--all` lists. */
const ALL_MAX = 100_000;
/** The most files that one page has. */
const PAGE_MAX = 100;

const routingOf = ({ path, key }: RoutingOptions): Routing => ({
  path: path ?? null,
  key: key ?? null,
});

/** `changeover ls` */
export const list: Command<ListOptions> = (context, { options }) =>
  withFiles(context, async (files) => {
    const found = await pages(files, options, context.signal);
    return { answer: { value: found, lines: linesOf(found) } };
  });

interface Found {
  readonly files: readonly FileFacts[];
  readonly hasMore: boolean;
}

async function pages(door: FileDoor, options: ListOptions, signal: AbortSignal): Promise<Found> {
  const wanted = options.all === true ? ALL_MAX : options.limit;
  const files: FileFacts[] = [];
  let { after } = options;
  for (;;) {
    signal.throwIfAborted();
    const limit = Math.min(wanted - files.length, PAGE_MAX);
    const { purpose } = options;
    const order: ListOrder = { limit, after, purpose, routing: routingOf(options), signal };
    const { value } = await door.list(order);
    files.push(...value.files);
    after = value.files.at(-1)?.id;
    const ended = !value.hasMore || after === undefined;
    if (ended || files.length >= wanted) return { files, hasMore: value.hasMore };
  }
}

function linesOf({ files, hasMore }: Found): Line[] {
  const last = files.at(-1);
  if (last === undefined) return ["There are no files."];
  const head = ["ID", "SIZE", "CREATED", "PROVIDER", "PURPOSE", "NAME"].map((title) =>
    styled("strong", title),
  );
  const rows = files.map(({ id, sizeBytes, createdAt, provider, purpose, name }) => [
    id,
    bytesText(sizeBytes),
    createdAt.slice(0, 19).replace("T", " "),
    provider,
    purpose,
    name,
  ]);
  const more = hasMore ? [styled("faint", `There are more: changeover ls --after ${last.id}`)] : [];
  return [...table([head, ...rows]), ...more];
}

interface RemoveOptions extends RoutingOptions {
  readonly dryRun?: boolean;
}

/** `changeover rm`: one that fails stops no other, and the exit code is then 6. */
export const remove: Command<RemoveOptions> = (context, { words, options }) => {
  if (words.some((word) => word === "")) throw usage("An id is empty. Name files by their ids.");
  const { signal } = context;
  return withFiles(context, async (files) => {
    const dryRun = options.dryRun === true;
    const deleted: string[] = [];
    const left: { readonly id: string; readonly parts: readonly LeftPart[] }[] = [];
    const names: Line[] = [];
    const failures: { readonly id: string; readonly error: unknown }[] = [];
    for (const id of words) {
      try {
        signal.throwIfAborted();
        const order = { id, routing: routingOf(options), signal };
        if (dryRun) {
          const { value } = await files.info(order);
          names.push(`${id}  ${bytesText(value.sizeBytes)}  ${value.name}`);
        } else {
          const { left: parts = [] } = (await files.remove(order)).value;
          if (parts.length > 0) left.push({ id, parts });
        }
        deleted.push(id);
      } catch (error) {
        failures.push({ id, error });
      }
    }
    const errors = failures.map(({ error }) => error);
    const failed = failures.map(({ id, error }) => ({ id, error: describe(error) }));
    const not = failed.length > 0 ? `; ${failed.length} not` : "";
    const sum = `${counted(deleted.length, "file")} ${dryRun ? "would be " : ""}deleted${not}.`;
    const value = dryRun ? { wouldDelete: deleted, failed } : { deleted, failed, left };
    return {
      answer: { value, lines: [...names, sum, ...left.map(leftLine)] },
      exit: signal.aborted ? exitOf(signal.reason) : exitOfMany(deleted.length, errors),
      failures: failures.map(({ id, error }) => ({ subject: words.length > 1 ? id : null, error })),
    };
  });
};

const partWords: Readonly<Record<LeftPart, string>> = {
  row: "the row of its content",
  "provider-file": "its file at the provider",
  object: "its bytes in storage",
};

function leftLine({ id, parts }: { id: string; parts: readonly LeftPart[] }): Line {
  const what = parts.map((part) => partWords[part]).join(" and ");
  return styled("warn", `${id}: could not remove ${what} now. changeover verify --fix does.`);
}
