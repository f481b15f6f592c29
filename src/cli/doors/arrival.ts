import { sleep } from "../../base/clock.ts";
import { CodedError, codeOf, isCodedError } from "../../base/errors.ts";
import { integrity } from "../../files/errors.ts";
import type { CommandContext } from "../context.ts";
import type { DownloadOrder, FileDoor } from "./file-door.ts";

/** A download under way. */
export type Arriving = Awaited<ReturnType<FileDoor["download"]>>;

/** Milliseconds before a broken download is asked for again; so many tries without a byte in between. */
const WAITS_MS: readonly number[] = [0, 500, 1000, 2000, 4000];

/**
 * The bytes of a file from `start` on, asked for again from where they stopped when the connection
 * breaks. Throws `CLI_CONNECTION_LOST` or what the last try did, `FILES_INTEGRITY` when the file is another one by then, or the
 * reason of the user's interruption.
 */
export async function* arrival(
  { clock, signal, output }: Pick<CommandContext, "clock" | "signal" | "output">,
  files: FileDoor,
  order: DownloadOrder,
  first: Arriving,
): AsyncGenerator<Buffer, void, void> {
  const { file } = first.value;
  let position = order.start ?? 0;
  let arriving: Arriving | null = first;
  for (let failures = 0; position < file.sizeBytes; ) {
    try {
      arriving ??= await files.download({ ...order, start: position });
      checkSame(first, arriving);
      for await (const chunk of arriving.value.body) {
        yield chunk as Buffer;
        position += (chunk as Buffer).length;
        failures = 0;
      }
      if (position < file.sizeBytes) throw new BrokenOff();
    } catch (error) {
      signal.throwIfAborted();
      const waitMs = WAITS_MS[failures];
      if (!mayGoOn(error)) throw error;
      if (waitMs === undefined) throw isCodedError(error) ? error : connectionLost(position, error);
      failures += 1;
      output.note({ style: "faint", text: `The connection broke at byte ${position}; going on …` });
      await sleep(clock, waitMs, signal, true);
    } finally {
      arriving?.value.body.destroy();
      arriving = null;
    }
  }
}

class BrokenOff extends Error {
  override readonly name = "BrokenOff";
}

function connectionLost(position: number, cause: unknown): CodedError {
  return new CodedError(
    "CLI_CONNECTION_LOST",
    `The download broke at byte ${position} (${codeOf(cause) ?? "the connection ended"}) and could not be taken up in ${WAITS_MS.length} tries. Try again later.`,
    { status: 503, retryable: true, cause },
  );
}

/** Whatever is not ours is a broken connection; what is ours says so itself. */
function mayGoOn(error: unknown): boolean {
  return isCodedError(error) ? error.retryable : true;
}

function checkSame(first: Arriving, next: Arriving): void {
  const [expected, actual] = [first.value.file.sha256, next.value.file.sha256];
  if (expected === actual) return;
  throw integrity(`The file ${first.value.file.id} changed meanwhile`, { expected, actual });
}
