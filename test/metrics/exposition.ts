import type { MetricsRecorder } from "../../src/metrics/recorder.ts";

/** Every sample of an exposition, by its whole name with labels in alphabetical order. */
export function samplesOf(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null) continue;
    const labels = [...(match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
    const sorted = labels.map(([, name, value]) => `${name}=${value}`).sort();
    samples.set(`${match[1]} ${sorted.join(" ")}`.trim(), Number(match[3]));
  }
  return samples;
}

/** The samples above 0 of one metric, by their labels. */
export async function countedBy(recorder: MetricsRecorder, metric: string): Promise<object> {
  const name = `changeover_${metric}`;
  const samples = [...samplesOf(await recorder.text())];
  return Object.fromEntries(
    samples
      .filter(([key, value]) => (key === name || key.startsWith(`${name} `)) && value !== 0)
      .map(([key, value]) => [key.slice(name.length).trim(), value]),
  );
}
