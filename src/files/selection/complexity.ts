/** How much a question asks for, by its length. */
export type Complexity = "simple" | "moderate" | "complex";

/** How large a file is, for estimates. */
export type SizeClass = "small" | "medium" | "large";

const MiB = 2 ** 20;

/** Characters from which a question is moderate, and complex. */
const MODERATE_FROM = 50;
const COMPLEX_FROM = 200;
/** Bytes from which a file is medium, and large. */
const MEDIUM_FROM = MiB;
const LARGE_FROM = 10 * MiB;

/** Under 50 characters simple, under 200 moderate, else complex. Pure. */
export function complexityOf(question: string): Complexity {
  if (question.length < MODERATE_FROM) return "simple";
  return question.length < COMPLEX_FROM ? "moderate" : "complex";
}

/** Under 1 MiB small, under 10 MiB medium, else large. Pure. */
export function sizeClassOf(sizeBytes: number): SizeClass {
  if (sizeBytes < MEDIUM_FROM) return "small";
  return sizeBytes < LARGE_FROM ? "medium" : "large";
}
