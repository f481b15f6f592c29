import { unknownProvider } from "../../files/errors.ts";
import { autoProvider, type OnDuplicate, providerNames } from "../../files/file-manager.ts";
import type { Answered } from "../../migration/call.ts";
import { type Command, type CommandContext, usage } from "../context.ts";
import type { FileDoor, FileFacts, Routing, UploadOrder, UploadPlan } from "../doors/file-door.ts";
import { Throttle } from "../doors/throttled.ts";
import { expandInputs, type UploadInput } from "../doors/upload-inputs.ts";
import { exitOf, exitOfMany } from "../exit-codes.ts";
import { type Answer, describe } from "../output.ts";
import { type TransferProgress, transferProgress } from "../progress.ts";
import { withFiles } from "../session.ts";
import { bytesText, counted, type Line, styled, table } from "../terminal/text.ts";

interface UploadOptions {
  readonly name?: string;
  readonly provider: string;
  readonly purpose?: string;
  readonly question?: string;
  readonly path?: Routing["path"];
  readonly key?: string;
  readonly concurrency: number;
  readonly recursive?: boolean;
  readonly resume?: boolean;
  readonly onDuplicate: OnDuplicate;
  readonly bwlimit?: number;
  readonly dryRun?: boolean;
}

/** A file that was stored, with who stored it. */
interface Uploaded extends FileFacts, Answered {
  /** What was typed. */
  readonly input: string;
  readonly providerReasons: readonly string[];
}

/** A file that would be stored. */
interface Planned extends UploadPlan {
  readonly input: string;
}

type Result = Uploaded | Planned | FailedInput;

interface FailedInput {
  readonly input: string;
  readonly error: unknown;
}

/**
 * `changeover upload`: several files at a time, each on its own: one that fails stops no other, and
 * the exit code is then 6.
 */
export const upload: Command<UploadOptions> = async (context, { words, options }) => {
  const { output, signal } = context;
  checkInputs(words, options);
  if (context.globals.gateway !== undefined) checkGateway(options);
  const inputs = await expandInputs(words, options);
  const results = new Map<UploadInput, Result>();
  const sendable: SendableInput[] = [];
  for (const input of inputs) {
    if (input.kind === "refused") results.set(input, input);
    else sendable.push(input);
  }
  if (sendable.length > 0) {
    const bytes = sendable.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
    const throttle = new Throttle(options.bwlimit ?? null, context.clock);
    await withFiles(context, async (files) => {
      const progress = await transferProgress(output, { files: sendable.length, bytes });
      try {
        await inParallel(sendable, options.concurrency, signal, async (input) => {
          results.set(
            input,
            await uploadOne({ context, files, progress, options, throttle }, input),
          );
        });
      } finally {
        progress.stop();
      }
    });
  }
  // In the order in which they were named, whichever was ready first.
  const ordered = inputs.map(
    (input): Result => results.get(input) ?? { input: input.input, error: signal.reason },
  );
  const failures = ordered.filter((result) => "error" in result);
  const uploaded = ordered.filter((result): result is Uploaded => "sha256" in result);
  const planned = ordered.filter((result): result is Planned => !("error" in result));
  const errors = failures.map(({ error }) => error);
  return {
    answer: options.dryRun === true ? planOf(planned, failures) : answerOf(uploaded, failures),
    exit: signal.aborted ? exitOf(signal.reason) : exitOfMany(planned.length, errors),
    failures: failures.map(({ input, error }) => ({
      subject: inputs.length > 1 ? input : null,
      error,
    })),
  };
};

type SendableInput = Exclude<UploadInput, { readonly kind: "refused" }>;

interface Work {
  readonly context: CommandContext;
  readonly files: FileDoor;
  readonly progress: TransferProgress;
  readonly options: UploadOptions;
  readonly throttle: Throttle;
}

async function uploadOne(
  { context, files, progress, options, throttle }: Work,
  input: SendableInput,
): Promise<Result> {
  const { provider, purpose, question, path, key, onDuplicate } = options;
  // Only the streaming path sends in parts.
  const chosen = path ?? (options.resume === true ? "candidate" : null);
  const bar = progress.begin(input.name, input.sizeBytes);
  try {
    const order: UploadOrder = {
      body: input.kind === "stdin" ? { kind: "stream", stream: process.stdin } : input,
      name: input.name,
      provider,
      purpose,
      question,
      routing: { path: chosen, key: key ?? null },
      onDuplicate,
      throttle,
      progress: (sentBytes) => bar.sent(sentBytes),
      signal: context.signal,
    };
    if (options.dryRun === true) {
      const plan = await files.plan(order);
      bar.end(null);
      return { input: input.input, ...plan };
    }
    const { value, answered, providerReasons } = await files.upload(order);
    bar.end([
      styled("good", "stored "),
      value.name,
      styled("faint", ` ${bytesText(value.sizeBytes)}`),
    ]);
    return { input: input.input, ...value, ...answered, providerReasons };
  } catch (error) {
    bar.end([styled("bad", "failed "), input.name]);
    if (chosen !== "legacy") noteInterrupted(context, input);
    return { input: input.input, error };
  }
}

/** Tells who pressed Ctrl-C that what was sent of a large file need not be sent again. */
function noteInterrupted(
  { signal, globals, config, output }: CommandContext,
  input: SendableInput,
) {
  const isLarge = input.kind === "file" && input.sizeBytes >= config().resumableFromBytes;
  if (!signal.aborted || !isLarge || globals.gateway !== undefined) return;
  const text = `What was sent of ${input.input} on the new path is kept for a day: changeover upload --resume ${input.input}`;
  output.note(styled("faint", text));
}

/** What only works on the backend itself. */
function checkGateway({ resume, dryRun }: UploadOptions): void {
  if (resume === true) throw usage("--resume works in this process only: leave --gateway out.");
  if (dryRun === true) throw usage("--dry-run works in this process only: leave --gateway out.");
}

/** What can be known to be wrong before anything is opened. */
function checkInputs(words: readonly string[], options: UploadOptions): void {
  const { name, recursive, provider, question } = options;
  if (provider !== autoProvider && !providerNames.some((known) => known === provider)) {
    throw unknownProvider(provider, [...providerNames, autoProvider]);
  }
  if (options.resume === true && options.bwlimit !== undefined) {
    throw usage("--resume and --bwlimit exclude each other: give one of them.");
  }
  if (question !== undefined && provider !== autoProvider) {
    throw usage("--question helps to choose a provider: use it with --provider auto.");
  }
  const streams = words.filter((word) => word === "-").length;
  if (streams > 1) throw usage("Standard input (-) can be uploaded once only.");
  if (streams === 1 && name === undefined) {
    throw usage("Standard input has no name of its own. Give it one: upload - --name backup.tar");
  }
  if (name !== undefined && (words.length > 1 || recursive === true)) {
    throw usage("--name names one file; several were given. Upload them one at a time.");
  }
  if (name === "") throw usage("--name is empty. Give the file a name.");
}

/** Runs `work` for every item, so many at once, in their order. A signal stops further ones. */
async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const worker = async (): Promise<void> => {
    for (const item of rest) {
      if (signal.aborted) return;
      await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}

function answerOf(uploaded: readonly Uploaded[], failures: readonly FailedInput[]): Answer {
  const failed = failures.map(({ input, error }) => ({ input, error: describe(error) }));
  return { value: { uploaded, failed }, lines: linesOf(uploaded, failures.length) };
}

function planOf(planned: readonly Planned[], failures: readonly FailedInput[]): Answer {
  const failed = failures.map(({ input, error }) => ({ input, error: describe(error) }));
  const head = ["SIZE", "TYPE", "PROVIDER", "PURPOSE", "NAME"].map((title) =>
    styled("strong", title),
  );
  const rows = planned.map(({ sizeBytes, mimeType, provider, purpose, name }) => [
    bytesText(sizeBytes),
    mimeType,
    provider,
    purpose,
    name,
  ]);
  const size = bytesText(planned.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
  const refused = failures.length > 0 ? `; ${failures.length} would fail` : "";
  const sum = `${counted(planned.length, "file")} would be stored, ${size}${refused}. Nothing was sent.`;
  const lines = [...(rows.length > 0 ? table([head, ...rows]) : []), sum];
  return { value: { wouldUpload: planned, failed }, lines };
}

function linesOf(uploaded: readonly Uploaded[], failed: number): Line[] {
  const [only] = uploaded;
  if (only === undefined) return [];
  if (uploaded.length === 1 && failed === 0) return table(factRows(only));
  const head = ["ID", "SIZE", "PATH", "REASON", "SHA-256", "NAME"].map((title) =>
    styled("strong", title),
  );
  const rows = uploaded.map((file) => [
    file.id,
    bytesText(file.sizeBytes),
    file.path,
    reasonOf(file),
    `${file.sha256.slice(0, 12)}…`,
    file.name,
  ]);
  const size = bytesText(uploaded.reduce((sum, file) => sum + file.sizeBytes, 0));
  const sum = `${counted(uploaded.length, "file")} stored, ${size}${failed > 0 ? `; ${failed} failed` : ""}.`;
  return [...table([head, ...rows]), sum];
}

function factRows(file: Uploaded): [Line & string, string][] {
  return [
    ["id", file.id],
    ["name", file.name],
    ["size", bytesText(file.sizeBytes)],
    ["sha256", file.sha256],
    ["path", `${file.path} (${reasonOf(file)})`],
    ...file.providerReasons.map((reason, index): [Line & string, string] => [
      index === 0 ? "provider" : "",
      index === 0 ? `${file.provider}: ${reason}` : reason,
    ]),
  ];
}

function reasonOf({ reason, fellBack }: Answered): string {
  return fellBack ? `${reason}, then fell back` : reason;
}
