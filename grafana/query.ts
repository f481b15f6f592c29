// Small pieces of PromQL that the dashboards have in common.

/** The operations picked above the dashboard. */
export const picked = 'operation=~"$operation"';
/** Calls that somebody waited for. */
export const served: string = `${picked}, source="served"`;
/** Runs that did harm. */
export const bad = 'outcome=~"failed|timed-out"';

/** `sum by (labels) (inner)`. */
export function sumBy(labels: string, inner: string): string {
  return `sum by (${labels}) (${inner})`;
}

/** `max by (labels) (inner)`: of a gauge that every instance reports. */
export function maxBy(labels: string, inner: string): string {
  return `max by (${labels}) (${inner})`;
}

/** How often a second a counter grows, summed by labels. */
export function perSecond(labels: string, counter: string): string {
  return sumBy(labels, `rate(${counter}[$__rate_interval])`);
}

/** A share that is absent, and not NaN, where nothing happened. */
export function share(part: string, whole: string): string {
  return `${part} / (${whole} > 0)`;
}

/** A quantile of a histogram; absent, and not NaN, where nothing was measured. */
export function quantile(q: number, labels: string, bucket: string): string {
  return `histogram_quantile(${q}, ${perSecond(`le, ${labels}`, bucket)}) >= 0`;
}

/** Seconds since a timestamp that is 0 for never. */
export function age(labels: string, timestamp: string): string {
  return `time() - ${maxBy(labels, `${timestamp} > 0`)}`;
}
