/** What one check found. */
export interface Check {
  readonly name: string;
  readonly result: "ok" | "warn" | "fail";
  /** One sentence: what is so. */
  readonly detail: string;
  /** What to do about it; null when it is ok. */
  readonly advice: string | null;
}

/** All is well. */
export function ok(name: string, detail: string): Check {
  return { name, result: "ok", detail, advice: null };
}

/** It works, but not as it should. */
export function warn(name: string, detail: string, advice: string): Check {
  return { name, result: "warn", detail, advice };
}

/** It does not work like this. */
export function fail(name: string, detail: string, advice: string): Check {
  return { name, result: "fail", detail, advice };
}
