import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, link, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { CodedError, codeOf } from "../../base/errors.ts";
import { integrity } from "../../files/errors.ts";
import { type Command, type CommandContext, usage } from "../context.ts";
import type { FileFacts, Routing, Served } from "../doors/file-door.ts";
import type { Answer } from "../output.ts";
import { type FileProgress, transferProgress } from "../progress.ts";
import { withFiles } from "../session.ts";
import { bytesText, table } from "../terminal/text.ts";

interface DownloadOptions {
  readonly output?: string;
  readonly force?: boolean;
  readonly path?: Routing["path"];
  readonly key?: string;
}

type Arriving = Served<{ readonly file: FileFacts; readonly body: Readable }>;

/**
 * `changeover download`: writes beside the target, checks the SHA-256, and only then gives the file
 * its name; what is there already is kept unless `--force` is given.
 */
export const download: Command<DownloadOptions> = async (context, { words, options }) => {
  const [id = ""] = words;
  const toStdout = options.output === "-";
  if (toStdout && context.globals.json) {
    throw usage("--json prints its answer where the file would go. Use --json or -o -, not both.");
  }
  return withFiles(context, async (files) => {
    const routing: Routing = { path: options.path ?? null, key: options.key ?? null };
    const arriving = await files.download({ id, routing, signal: context.signal });
    try {
      const { file } = arriving.value;
      if (toStdout) {
        await sendToStdout(context, arriving, options.force === true);
        return { answer: null };
      }
      const target = await targetOf(options.output, file);
      if (options.force !== true && (await exists(target))) throw alreadyThere(target);
      const progress = await transferProgress(context.output, { files: 1, bytes: file.sizeBytes });
      const bar = progress.begin(file.name, file.sizeBytes);
      try {
        await save(arriving, target, options.force === true, bar);
      } finally {
        progress.stop();
      }
      return { answer: answerOf(arriving, target) };
    } finally {
      arriving.value.body.destroy();
    }
  });
};

/** The path to write to: as asked for, in the folder asked for, or under the file's own name here. */
async function targetOf(asked: string | undefined, file: FileFacts): Promise<string> {
  if (asked === "")
    throw usage("--output is empty. Name a file, a folder, or - for standard output.");
  const name = safeName(file.name);
  if (asked === undefined) return resolve(name);
  const isFolder = await stat(asked).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  return isFolder ? resolve(asked, name) : resolve(asked);
}

/** A name from elsewhere never leads out of the folder; one that would is to be chosen by the user. */
function safeName(name: string): string {
  const unsafe = name !== basename(name) || /[/\\\0]/.test(name) || /^\.{0,2}$/.test(name);
  if (!unsafe) return name;
  throw usage(
    `The file's own name ${JSON.stringify(name)} cannot be used here. Choose one with -o.`,
  );
}

async function save(
  { value: { file, body } }: Arriving,
  target: string,
  force: boolean,
  bar: FileProgress,
): Promise<void> {
  const beside = join(dirname(target), `.${basename(target).slice(0, 100)}.${randomUUID()}.part`);
  try {
    const handle = await open(beside, "wx", 0o600);
    try {
      await receive(file, body, handle, bar);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await giveName(beside, target, force);
  } catch (error) {
    throw codeOf(error) !== undefined && isDiskError(error) ? cannotWrite(target, error) : error;
  } finally {
    await rm(beside, { force: true }).catch(() => undefined);
  }
}

async function receive(
  file: FileFacts,
  body: Readable,
  handle: FileHandle,
  bar: FileProgress,
): Promise<void> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of body) {
    const buffer = chunk as Buffer;
    hash.update(buffer);
    await handle.writeFile(buffer);
    bytes += buffer.length;
    bar.sent(bytes);
  }
  bar.end(null);
  check(file, hash.digest("hex"));
}

function check(file: FileFacts, actual: string): void {
  if (actual === file.sha256) return;
  throw integrity(`The content of ${file.id} is not what was stored`, {
    expected: file.sha256,
    actual,
  });
}

/** A hard link fails where something is there already, which a rename would replace. */
async function giveName(beside: string, target: string, force: boolean): Promise<void> {
  if (force) return rename(beside, target);
  try {
    await link(beside, target);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw alreadyThere(target);
    // File systems without hard links: the moment between this look and the renaming remains.
    if (await exists(target)) throw alreadyThere(target);
    await rename(beside, target);
  }
}

async function sendToStdout(
  { output }: CommandContext,
  { value: { file, body } }: Arriving,
  force: boolean,
): Promise<void> {
  const target = output.bytes;
  if (target.isTTY && !force && !/^text\/|^application\/json\b/.test(file.mimeType)) {
    throw new CodedError(
      "CLI_BINARY_TO_TERMINAL",
      `The file is ${file.mimeType} and would upset the terminal. Send it elsewhere (-o file, or a pipe), or use --force.`,
      { status: 400 },
    );
  }
  const hash = createHash("sha256");
  for await (const chunk of body) {
    hash.update(chunk as Buffer);
    await written(target, chunk as Buffer);
  }
  check(file, hash.digest("hex"));
}

function written(target: NodeJS.WritableStream, chunk: Buffer): Promise<void> {
  return new Promise((done, failed) => {
    target.write(chunk, (error) => (error == null ? done() : failed(error)));
  });
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => codeOf(error) !== "ENOENT",
  );
}

const diskErrors: ReadonlySet<string> = new Set([
  "EACCES",
  "EDQUOT",
  "EISDIR",
  "ENAMETOOLONG",
  "ENOENT",
  "ENOSPC",
  "ENOTDIR",
  "EPERM",
  "EROFS",
]);

function isDiskError(error: unknown): boolean {
  return diskErrors.has(codeOf(error) ?? "");
}

function cannotWrite(target: string, cause: unknown): CodedError {
  return new CodedError(
    "CLI_CANNOT_WRITE",
    `${JSON.stringify(target)} cannot be written (${codeOf(cause)}). Choose another place with -o.`,
    { status: 400, cause },
  );
}

function alreadyThere(target: string): CodedError {
  return new CodedError(
    "CLI_FILE_EXISTS",
    `${JSON.stringify(target)} exists already. Choose another name with -o, or overwrite it with --force.`,
    { status: 400 },
  );
}

function answerOf({ value: { file }, answered }: Arriving, target: string): Answer {
  return {
    value: { ...file, ...answered, output: target },
    lines: table([
      ["saved", target],
      ["size", bytesText(file.sizeBytes)],
      ["sha256", `${file.sha256} (checked)`],
      ["path", `${answered.path} (${answered.reason})`],
    ]),
  };
}
