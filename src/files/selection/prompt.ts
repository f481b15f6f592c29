import { sizeClassOf } from "./complexity.ts";

/** Characters of a question that a trim leaves; three points are added. */
const TRIM_TO = 150;

/** A question as it will be asked. */
export interface TrimmedQuery {
  readonly query: string;
  /** Was something cut off? Then the question may have lost its point. */
  readonly isTrimmed: boolean;
  /** Share of the characters that was saved, 0 to 1. */
  readonly saved: number;
}

/**
 * Cuts a question about a large file (10 MiB and more) to 150 characters and three points. **Lossy**:
 * whatever stood behind them is not asked, so it is off unless `isOn` is true. Pure.
 */
export function trimQuery(
  query: string,
  options: { readonly sizeBytes: number; readonly isOn?: boolean },
): TrimmedQuery {
  const { sizeBytes, isOn = false } = options;
  const shorter = `${query.slice(0, TRIM_TO)}...`;
  if (!isOn || sizeClassOf(sizeBytes) !== "large" || query.length <= shorter.length) {
    return { query, isTrimmed: false, saved: 0 };
  }
  return { query: shorter, isTrimmed: true, saved: (query.length - shorter.length) / query.length };
}

/** A prompt that has a model work on files that it was given already. Pure. */
export function taskPrompt(task: string, fileNames: readonly string[]): string {
  const files = fileNames.map((name) => `- ${oneLine(name)}`).join("\n");
  return [
    `Task: ${task}`,
    `The content of these files is available to you:\n${files}`,
    "Focus on completing the specified task, not on file management: the files are uploaded and read already.",
  ].join("\n\n");
}

/** What a task prompt must hold, by name. */
export type PromptCheck = "task" | "files" | "focus" | "no-management";

/** Which of the four checks a prompt does not pass; empty for a good one. Pure. */
export function promptProblems(
  prompt: string,
  task: string,
  fileNames: readonly string[],
): readonly PromptCheck[] {
  const checks: Readonly<Record<PromptCheck, boolean>> = {
    task: prompt.includes(task),
    files: fileNames.every((name) => prompt.includes(oneLine(name))),
    focus: prompt.includes("Focus on completing the specified task"),
    "no-management": prompt.includes("not on file management"),
  };
  return (Object.keys(checks) as PromptCheck[]).filter((name) => !checks[name]);
}

/** A file's name must not be able to add lines to a prompt. */
function oneLine(name: string): string {
  return name.replace(/[\p{Cc}\u2028\u2029]+/gu, " ");
}
