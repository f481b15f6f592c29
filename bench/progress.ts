/** Shows how far a run is. */
export interface Progress {
  /** A case begins. */
  begin(name: string): void;
  /** What the case is doing right now. */
  update(text: string): void;
  /** Clears what is shown and will be overwritten. */
  end(): void;
}

/**
 * On a terminal one line that is overwritten; elsewhere one plain line for each case, so that a log
 * does not fill.
 */
export function progressTo(stream: NodeJS.WriteStream): Progress {
  let current = "";
  if (!stream.isTTY) {
    return {
      begin: (name) => stream.write(`measuring ${name}\n`),
      update: () => undefined,
      end: () => undefined,
    };
  }
  const show = (text: string): void => {
    stream.write(`\r\u001b[2K${text.slice(0, Math.max(20, stream.columns - 1))}`);
  };
  return {
    begin: (name) => {
      current = name;
      show(name);
    },
    update: (text) => show(`${current}: ${text}`),
    end: () => show(""),
  };
}
