import { isAlive } from "../support/processes.ts";

/** Waits until the process is gone, for at most `limitMs` milliseconds; says whether it is. */
export async function isGoneWithin(pid: number, limitMs: number): Promise<boolean> {
  const endMs = performance.now() + limitMs;
  while (isAlive(pid)) {
    if (performance.now() > endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}

/** The pid in a program's first progress line. */
export function pidOf(text: string): number {
  const pid = Number(/^pid (\d+)/.exec(text)?.[1]);
  if (!Number.isInteger(pid)) throw new Error(`No pid in ${JSON.stringify(text)}.`);
  return pid;
}
