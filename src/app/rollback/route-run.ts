import type { Clock } from "../../base/clock.ts";
import { CodedError, codeOf, toError } from "../../base/errors.ts";
import type { FlagState } from "../../migration/flags.ts";
import { migrationOf } from "../../migration/operation.ts";
import type { ControlChange, ControlStep } from "../control.ts";
import type { DirectRoute } from "./direct-routes.ts";

/** What is to be done on a route. */
export interface RouteRunOptions {
  readonly clock: Clock;
  /** Null: every operation, and so the kill switches of their migrations first. */
  readonly operation: string | null;
  readonly change: ControlChange;
}

/** How one route went. */
export interface DirectRouteReport {
  readonly route: DirectRoute["name"];
  /** `worked`: for every operation, read back; `partly`: for some; `not-set-up`: no setting names it. */
  readonly state: "worked" | "partly" | "failed" | "not-set-up";
  /** One sentence. */
  readonly detail: string;
}

/** Operations that are switched off at once on one route. */
const atOnce = 16;
/** Milliseconds after which a route that fails is not tried for further operations. */
const routeMs = 15_000;
/** Milliseconds that the kill switch has before the flags follow, so that one write comes first. */
const headStartMs = 300;

/** One route from its opening to its end. Nothing in here rejects. */
export class RouteRun {
  readonly name: DirectRoute["name"];
  readonly steps: Map<string, ControlStep> = new Map();
  readonly migrations: Map<string, ControlStep> = new Map();
  readonly flags: Map<string, FlagState> = new Map();
  route: DirectRoute | null = null;
  readonly #url: string | null;
  readonly #options: RouteRunOptions;
  readonly #make: (url: string) => DirectRoute | Promise<DirectRoute>;
  #problem: string | null = null;

  constructor(
    name: DirectRoute["name"],
    url: string | null,
    options: RouteRunOptions,
    make: (url: string) => DirectRoute | Promise<DirectRoute>,
  ) {
    this.name = name;
    this.#url = url;
    this.#options = options;
    this.#make = make;
  }

  async open(): Promise<void> {
    if (this.#url === null) return;
    try {
      this.route = await this.#make(this.#url);
    } catch (error) {
      this.#problem = describe(error);
    }
  }

  async operations(): Promise<readonly string[]> {
    return this.route?.operations().catch(() => []) ?? [];
  }

  async rollBack(operations: readonly string[]): Promise<void> {
    const { route } = this;
    if (route === null) return;
    const { clock, operation, change } = this.#options;
    const endMs = clock.monotonicMs() + routeMs;
    const kills = operation === null ? this.#switchMigrationsOff(route, operations) : null;
    if (kills !== null) {
      const headStart = Promise.withResolvers<void>();
      const timer = clock.after(headStartMs, headStart.resolve, true);
      await Promise.race([kills, headStart.promise]);
      timer.cancel();
    }
    for (let at = 0; at < operations.length; at += atOnce) {
      const batch = operations.slice(at, at + atOnce);
      await Promise.all(
        batch.map(async (each) => {
          const step = await timedStep(clock, route.step, async () => {
            if (clock.monotonicMs() >= endMs) throw tooLate(route.name);
            const state = await route.rollBack(each, change);
            if (state !== null) this.flags.set(each, state);
          });
          this.steps.set(each, step);
        }),
      );
    }
    await kills;
  }

  /** Has it brought the operation's callers back? */
  reaches(operation: string): boolean {
    const steps = [this.steps.get(operation), this.migrations.get(migrationOf(operation))];
    return steps.some((step) => step?.result === "done");
  }

  report(operations: readonly string[]): DirectRouteReport {
    const route = this.name;
    if (this.#url === null) {
      const setting = route === "unleash" ? "CHANGEOVER_UNLEASH_URL" : "CHANGEOVER_POSTGRES_URL";
      return { route, state: "not-set-up", detail: `${setting} is not set.` };
    }
    if (this.#problem !== null) return { route, state: "failed", detail: this.#problem };
    const reached = operations.filter((operation) => this.reaches(operation));
    const own = operations.filter((operation) => this.steps.get(operation)?.result === "done");
    const failed = [...this.migrations.values(), ...this.steps.values()].find(
      ({ result }) => result === "failed",
    );
    const off = [...this.migrations].filter(([, { result }]) => result === "done");
    const kills =
      off.length === 0 ? "" : `kill switch of ${off.map(([name]) => name).join(", ")}; `;
    const what = route === "unleash" ? "flags off" : "latches tripped";
    const told = `${kills}${own.length} of ${operations.length} ${what}, read back`;
    const detail = failed === undefined ? `${told}.` : `${told}. ${failed.detail ?? ""}`;
    if (reached.length === 0) return { route, state: "failed", detail };
    const whole = reached.length === operations.length && own.length === operations.length;
    return { route, state: whole ? "worked" : "partly", detail };
  }

  async close(): Promise<void> {
    await this.route?.close();
  }

  async #switchMigrationsOff(route: DirectRoute, operations: readonly string[]): Promise<void> {
    const { switchMigrationOff } = route;
    const { clock } = this.#options;
    if (switchMigrationOff === null) return;
    const migrations = [...new Set(operations.map(migrationOf))];
    await Promise.all(
      migrations.map(async (migration) => {
        const step = await timedStep(clock, "kill switch", () => switchMigrationOff(migration));
        this.migrations.set(migration, step);
      }),
    );
  }
}

/** Does something and tells how it went. Never rejects. */
export async function timedStep(
  clock: Clock,
  name: string,
  work: () => Promise<void>,
): Promise<ControlStep> {
  const beganMs = clock.monotonicMs();
  try {
    await work();
    return { name, result: "done", ms: clock.monotonicMs() - beganMs, detail: null };
  } catch (error) {
    const ms = clock.monotonicMs() - beganMs;
    return { name, result: "failed", ms, detail: describe(error) };
  }
}

function describe(error: unknown): string {
  const { message } = toError(error);
  const code = codeOf(error);
  return code === undefined ? message : `${message} [${code}]`;
}

function tooLate(route: string): CodedError {
  return new CodedError(
    "FLAGS_UNLEASH_UNAVAILABLE",
    `Not tried any more: ${route} gave no answers for ${routeMs} ms.`,
    { status: 503, retryable: true },
  );
}
