/** A known defect of the predecessor. */
export interface Defect {
  readonly number: number;
  /** What a user saw: the name of the tests that prove it gone. */
  readonly seen: string;
  /** The file beside this one that has those tests. */
  readonly file: string;
}

/**
 * Every known defect of the predecessor and where a test proves it gone. Those tests take their names
 * from here, so that a search for a sentence, in a report or in the sources, ends at both.
 */
export const defects: readonly Defect[] = [
  {
    number: 1,
    seen: "one upload left two files at the provider",
    file: "providers.test.ts",
  },
  {
    number: 2,
    seen: "an upload that named no purpose was always refused",
    file: "providers.test.ts",
  },
  {
    number: 3,
    seen: "a field that was missing crashed the upload after the provider had the file",
    file: "providers.test.ts",
  },
  {
    number: 4,
    seen: "a download or a delete failed as soon as the new path was switched on",
    file: "file-managers.test.ts",
  },
  {
    number: 5,
    seen: "an edited file was taken for what it was before",
    file: "file-managers.test.ts",
  },
  {
    number: 6,
    seen: "a file that one provider had could never be sent to the other",
    file: "file-managers.test.ts",
  },
  {
    number: 7,
    seen: "a second file of the same name got the id of the first",
    file: "providers.test.ts",
  },
  {
    number: 8,
    seen: "an upload that was refused was reported as a success",
    file: "providers.test.ts",
  },
  {
    number: 9,
    seen: "a file that storage had refused was answered as stored",
    file: "file-managers.test.ts",
  },
  {
    number: 10,
    seen: "a file was reported as deleted and was still there",
    file: "providers.test.ts",
  },
  {
    number: 11,
    seen: "a file was sent to a provider that could not take it, and nobody was told",
    file: "providers.test.ts",
  },
  {
    number: 12,
    seen: "a download was checked against the text that Kimi had made of it",
    file: "providers.test.ts",
  },
  {
    number: 13,
    seen: "a shadowed upload was stored twice, and nothing limited the shadows",
    file: "migration.test.ts",
  },
  {
    number: 14,
    seen: "every call ran on the old path while the log said the new one",
    file: "migration.test.ts",
  },
  {
    number: 15,
    seen: "a check that failed counted as passed, and nobody knew",
    file: "providers.test.ts",
  },
  {
    number: 16,
    seen: "the bytes of files and the keys were in the log",
    file: "log.test.ts",
  },
  {
    number: 17,
    seen: "a test run that ended badly was reported as passed",
    file: "defects.test.ts",
  },
  {
    number: 18,
    seen: "two at once miscounted, and what was typed was run as SQL",
    file: "counts.test.ts",
  },
];

/** The name of a test of this defect. */
export function seen(number: number): string {
  const defect = defects.find((each) => each.number === number);
  if (defect === undefined) throw new Error(`There is no defect ${number} in the table.`);
  return `${defect.seen} (defect ${number})`;
}
