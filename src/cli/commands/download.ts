import { createHash, type Hash, randomUUID } from "node:crypto";
import { type FileHandle, link, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { CodedError, codeOf } from "../../base/errors.ts";
import { integrity, isDiskError } from "../../files/errors.ts";
import { partName } from "../../files/file-name.ts";
import { type Command, type CommandContext, usage } from "../context.ts";
import { type Arriving, arrival } from "../doors/arrival.ts";
import type { DownloadOrder, FileDoor, FileFacts, Routing } from "../doors/file-door.ts";
import { Throttle } from "../doors/throttled.ts";
import type { Answer } from "../output.ts";
import { type FileProgress, transferProgress } from "../progress.ts";
import { withFiles } from "../session.ts";
import { bytesText, table } from "../terminal/text.ts";

interface DownloadOptions {
  readonly output?: string;
  readonly force?: boolean;
  readonly path?: Routing["path"];
  readonly key?: string;
  readonly bwlimit?: number;
}

/**
 * `changeover download`: writes beside the target, checks the SHA-256, and only then gives the file
 * its name; what is there already is kept unless `--force` is given. A connection that breaks is taken
 * up where it was; what had arrived when that did not help is kept for the next try.
 */
export const download: Command<DownloadOptions> = async (context, { words, options }) => {
  const [id = ""] = words;
  const toStdout = options.output === "-";
  if (toStdout && context.globals.json) {
    throw usage("--json prints its answer where the file would go. Use --json or -o -, not both.");
  }
  return withFiles(context, async (files) => {
    const routing: Routing = { path: options.path ?? null, key: options.key ?? null };
    const order = { id, routing, signal: context.signal };
    const arriving = await files.download(order);
    const throttle = new Throttle(options.bwlimit ?? null, context.clock);
    const transfer: Transfer = { context, files, order, arriving, throttle };
    try {
      const { file } = arriving.value;
      if (toStdout) {
        await sendToStdout(transfer, options.force === true);
        return { answer: null };
      }
      const target = await targetOf(options.output, file);
      if (options.force !== true && (await exists(target))) throw alreadyThere(target);
      const progress = await transferProgress(context.output, { files: 1, bytes: file.sizeBytes });
      const bar = progress.begin(file.name, file.sizeBytes);
      try {
        await save(transfer, target, options.force === true, bar);
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

/** A download and what is needed to ask for the rest of it. */
interface Transfer {
  readonly context: CommandContext;
  readonly files: FileDoor;
  readonly order: DownloadOrder;
  readonly arriving: Arriving;
  readonly throttle: Throttle;
}

async function save(
  transfer: Transfer,
  target: string,
  force: boolean,
  bar: FileProgress,
): Promise<void> {
  const { file } = transfer.arriving.value;
  const beside = besideOf(target, randomUUID());
  const kept = besideOf(target, file.id);
  try {
    // Its new name is this command's own: of two that want to go on with it one gets it.
    const isThere = await rename(kept, beside).then(
      () => true,
      () => false,
    );
    const handle = await open(beside, isThere ? "r+" : "wx", 0o600);
    try {
      await receive(transfer, handle, bar);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await giveName(beside, target, force);
  } catch (error) {
    if (isDiskError(error)) throw cannotWrite(target, error);
    if (codeOf(error) !== "FILES_INTEGRITY") await keep(transfer.context, beside, kept);
    throw error;
  } finally {
    await rm(beside, { force: true }).catch(() => undefined);
  }
}

function besideOf(target: string, id: string): string {
  return join(dirname(target), partName(basename(target), id));
}

async function keep({ output }: CommandContext, beside: string, kept: string): Promise<void> {
  const { size } = await stat(beside).catch(() => ({ size: 0 }));
  if (size === 0) return;
  await rename(beside, kept).catch(() => undefined);
  output.note({
    style: "faint",
    text: `What has arrived is kept; the same command goes on there.`,
  });
}

async function receive(transfer: Transfer, handle: FileHandle, bar: FileProgress): Promise<void> {
  const { context, files, order, arriving, throttle } = transfer;
  const { file } = arriving.value;
  const hash = createHash("sha256");
  const kept = await hashed(handle, hash, file.sizeBytes);
  let bytes = kept;
  bar.sent(bytes);
  const rest = bytes === 0 ? arriving : await later(files, { ...order, start: bytes }, arriving);
  const chunks = arrival(context, files, { ...order, start: bytes }, rest);
  for await (const chunk of throttle.pass(chunks, order.signal)) {
    hash.update(chunk);
    await handle.write(chunk, 0, chunk.length, bytes);
    bytes += chunk.length;
    bar.sent(bytes);
  }
  const actual = hash.digest("hex");
  if (kept > 0 && actual !== file.sha256) {
    // What an earlier try left says nothing about what is stored.
    const text = "What an earlier try had kept is not the beginning of this file; starting again …";
    context.output.note({ style: "faint", text });
    await handle.truncate(0);
    return receive({ ...transfer, arriving: await files.download(order) }, handle, bar);
  }
  bar.end(null);
  check(file, actual);
}

/** Hashes what an earlier try left; more than the whole file cannot be of it. */
async function hashed(handle: FileHandle, hash: Hash, sizeBytes: number): Promise<number> {
  const { size } = await handle.stat();
  if (size > sizeBytes) await handle.truncate(0);
  if (size === 0 || size > sizeBytes) return 0;
  const start = 0;
  for await (const chunk of handle.createReadStream({ start, autoClose: false })) {
    hash.update(chunk as Buffer);
  }
  return size;
}

/** The rest of a download of which the beginning is not needed. */
async function later(files: FileDoor, order: DownloadOrder, whole: Arriving): Promise<Arriving> {
  whole.value.body.destroy();
  const isComplete = order.start === whole.value.file.sizeBytes;
  return isComplete ? whole : files.download(order);
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
  { context, files, order, arriving, throttle }: Transfer,
  force: boolean,
): Promise<void> {
  const { file } = arriving.value;
  const target = context.output.bytes;
  if (target.isTTY && !force && !/^text\/|^application\/json\b/.test(file.mimeType)) {
    throw new CodedError(
      "CLI_BINARY_TO_TERMINAL",
      `The file is ${file.mimeType} and would upset the terminal. Send it elsewhere (-o file, or a pipe), or use --force.`,
      { status: 400 },
    );
  }
  const hash = createHash("sha256");
  const chunks = arrival(context, files, order, arriving);
  for await (const chunk of throttle.pass(chunks, order.signal)) {
    hash.update(chunk);
    await written(target, chunk);
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
    { status: 409 },
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
