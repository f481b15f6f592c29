import { type Command, positiveNumber, wholeNumber } from "../context.ts";

/** One option of a command. */
export interface OptionRow {
  /** As commander reads it: `-o, --output <file>`. */
  readonly flags: string;
  readonly meaning: string;
  readonly fallback?: string | number;
  readonly choices?: readonly string[];
  /** Turns what was typed into what the command reads. Throws `CLI_USAGE`. */
  readonly parse?: (text: string) => unknown;
}

/** One command as it is typed, explained and loaded. */
export interface CommandRow {
  /** One word, or two for a group: `flags set`. */
  readonly name: string;
  /** As commander reads them: `<operation> [percentage]`. */
  readonly words?: string;
  readonly meaning: string;
  readonly options?: readonly OptionRow[];
  /** Complete lines that can be typed. */
  readonly examples: readonly string[];
  /** Runs when its group is named alone. */
  readonly byDefault?: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: every command has options of its own; its row declares them
  readonly load: () => Promise<Command<any>>;
}

/** An option. */
export const row = (flags: string, meaning: string, more: Partial<OptionRow> = {}): OptionRow => ({
  flags,
  meaning,
  ...more,
});

/** An option that takes a whole number. */
export const whole = (what: string, min: number, max: number): Partial<OptionRow> => ({
  parse: (text) => wholeNumber(what, text, min, max),
});

/** An option that takes a number above 0. */
export const number = (what: string): Partial<OptionRow> => ({
  parse: (text) => positiveNumber(what, text),
});

/** Why a person does something. */
export const reasonOption: OptionRow = row("--reason <text>", "why, for the journal");
/** Nothing is changed. */
export const dryRunOption: OptionRow = row("--dry-run", "say what would be done, and do nothing");
