/** A span of every week in which no rollout goes up. */
export interface QuietTime {
  /** A day and a time: `Fri 15:00`. */
  readonly from: string;
  /** Exclusive. Before `from`: the span goes over the end of the week. */
  readonly to: string;
  /** A name of the IANA time zone database: `Europe/Berlin`, `UTC`. */
  readonly timeZone: string;
}

const days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const minutesOfDay = 24 * 60;

/** How a moment of the week is written. */
export const weekMoment: RegExp = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([01]\d|2[0-3]):([0-5]\d)$/;

/** Is this a time zone that this machine knows? */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** The first of these times that `nowMs` (since the Unix epoch) is within, or null. */
export function quietAt(nowMs: number, times: readonly QuietTime[]): QuietTime | null {
  return times.find((time) => covers(time, minuteOfWeek(nowMs, time.timeZone))) ?? null;
}

function covers({ from, to }: QuietTime, minute: number): boolean {
  const start = minuteOf(from);
  const end = minuteOf(to);
  return start <= end ? minute >= start && minute < end : minute >= start || minute < end;
}

/** Minutes since Monday 00:00. */
function minuteOf(moment: string): number {
  const [, day = "", hour = "", minute = ""] = weekMoment.exec(moment) ?? [];
  return days.indexOf(day) * minutesOfDay + Number(hour) * 60 + Number(minute);
}

/** By the wall clock of the time zone, so that a change to summer time moves nothing. */
function minuteOfWeek(nowMs: number, timeZone: string): number {
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).formatToParts(nowMs);
  const part = (type: string): string => parts.find((each) => each.type === type)?.value ?? "";
  return (
    days.indexOf(part("weekday")) * minutesOfDay +
    Number(part("hour")) * 60 +
    Number(part("minute"))
  );
}
