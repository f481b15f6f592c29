import type { BackfillProgress } from "../../../files/backfill/backfill.ts";
import type { CommandContext } from "../../context.ts";
import { bytesText, shortened } from "../../terminal/text.ts";

/** How often a line is printed where nothing can be drawn over, in milliseconds. */
const LINE_EVERY_MS = 5000;

/** How far a backfill is, as one line that is drawn over on a terminal, else as a line now and then. */
export function backfillProgress({ output, clock }: Pick<CommandContext, "output" | "clock">): {
  tell(progress: BackfillProgress): void;
  stop(): void;
} {
  const terminal = output.drawing;
  let printedMs = Number.NEGATIVE_INFINITY;
  let isDrawn = false;
  return {
    tell: (progress) => {
      const line = progressLine(progress);
      if (terminal !== null) {
        const text = output.painted([shortened(line, (terminal.columns || 80) - 1)]);
        // To the first column, and what was there is gone.
        terminal.write(`\r\u001b[K${text}`);
        isDrawn = true;
        return;
      }
      const nowMs = clock.monotonicMs();
      if (nowMs - printedMs < LINE_EVERY_MS) return;
      printedMs = nowMs;
      output.note({ style: "faint", text: line });
    },
    stop: () => {
      if (isDrawn) terminal?.write("\r\u001b[K");
      isDrawn = false;
    },
  };
}

/** `120 of 300 objects (40 %), 1.2 MB read, about 20 s to go`, all machines together. */
export function progressLine({ phase, done, total, bytes, etaMs }: BackfillProgress): string {
  if (phase === "listing") return "Listing the bucket, or waiting for the machine that does.";
  const share = total === 0 ? 100 : Math.floor((done / total) * 100);
  const eta = etaMs === null || done >= total ? "" : `, about ${durationText(etaMs)} to go`;
  return `${done} of ${total} objects (${share} %), ${bytesText(bytes)} read${eta}`;
}

/** `20 s`, `3 min`, `5.2 h`. */
function durationText(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
