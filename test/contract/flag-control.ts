import { afterEach, describe, expect, it, vi } from "vitest";
import type { FlagControl, FlagSource } from "../../src/migration/flags.ts";

/** Flags with two operations, on at 0 %, without shadows. */
export interface FlagWorld {
  readonly flags: FlagSource;
  /** What the operations' names begin with; default `files`. They end in `.upload` and `.info`. */
  readonly migration?: string;
  readonly close: () => Promise<void>;
}

let operation: string;
let other: string;
const ana = { by: "ana", reason: "a test" };
const keys = Array.from({ length: 2000 }, (_, n) => `customer-${n}`);

/** What every flag source with a write side must do. `make` gives a fresh one. */
export function flagContract(name: string, make: () => Promise<FlagWorld>): void {
  describe(`flags: ${name}`, () => {
    let world: FlagWorld;

    afterEach(() => world.close());

    const open = async (): Promise<{ flags: FlagSource; control: FlagControl }> => {
      world = await make();
      const { migration = "files" } = world;
      operation = `${migration}.upload`;
      other = `${migration}.info`;
      const { control } = world.flags;
      if (control === null) throw new Error("these flags cannot be changed");
      return { flags: world.flags, control };
    };

    it("start with nobody on the candidate, loaded and without problems", async () => {
      const { flags, control } = await open();
      expect(flags.freshness().state).toBe("fresh");
      expect(flags.problems()).toEqual([]);
      expect(keys.some((key) => flags.answer(operation, key).candidate)).toBe(false);
      expect(await control.read(operation)).toMatchObject({ percentage: 0, shadowPercentage: 0 });
      expect(flags.state("files.nope")).toBeNull();
      await expect(control.read("files.nope")).rejects.toMatchObject({ code: "FLAGS_UNKNOWN" });
    });

    it("give every key to the candidate at 100 %, and tell by their revision", async () => {
      const { flags, control } = await open();
      const before = flags.revision();
      const state = await control.setPercentage(operation, 100, ana);
      expect(state).toMatchObject({ operation, enabled: true, percentage: 100 });
      await vi.waitFor(() => expect(flags.answer(operation, "a").candidate).toBe(true), 10_000);
      expect(flags.revision()).toBeGreaterThan(before);
      expect(flags.state(operation)).toMatchObject({ enabled: true, percentage: 100 });
      expect(flags.answer(other, "a").candidate).toBe(false);
    });

    it("keep the keys they had when the percentage grows", async () => {
      const { flags, control } = await open();
      let before: string[] = [];
      for (const percentage of [1, 10, 50, 95]) {
        await control.setPercentage(operation, percentage, ana);
        const seen = (): number | undefined => flags.state(operation)?.percentage;
        await vi.waitFor(() => expect(seen()).toBe(percentage), 10_000);
        const now = keys.filter((key) => flags.answer(operation, key).candidate);
        expect(before.filter((key) => !now.includes(key))).toEqual([]);
        expect(Math.abs(now.length / keys.length - percentage / 100)).toBeLessThan(0.04);
        before = now;
      }
    });

    it("tell the percentage from which the candidate has a key", async () => {
      const { flags, control } = await open();
      await control.setPercentage(operation, 37, ana);
      const seen = (): number | undefined => flags.state(operation)?.percentage;
      await vi.waitFor(() => expect(seen()).toBe(37), 10_000);
      for (const key of keys.slice(0, 300)) {
        const bucket = flags.bucket?.(operation, key) ?? Number.NaN;
        expect(bucket).toBeGreaterThanOrEqual(1);
        expect(bucket).toBeLessThanOrEqual(100);
        expect(flags.answer(operation, key).candidate, key).toBe(bucket <= 37);
        expect(flags.bucket?.(other, key)).toBe(bucket);
      }
      expect(flags.bucket?.("files.nope", "a")).toBeNull();
    });

    it("shadow a share of calls apart from the percentage", async () => {
      const { flags, control } = await open();
      expect(await control.setShadow(operation, 100, ana)).toMatchObject({
        percentage: 0,
        shadowPercentage: 100,
      });
      await vi.waitFor(
        () => expect(flags.answer(operation, "a")).toEqual({ candidate: false, shadow: true }),
        10_000,
      );
      expect(await control.setShadow(operation, 0, ana)).toMatchObject({ shadowPercentage: 0 });
    });

    it("hold a flag that was switched off until it is re-armed, and leave it at 0 % then", async () => {
      const { flags, control } = await open();
      await control.setPercentage(operation, 100, ana);
      const off = { percentage: 0, enabled: false };
      expect(await control.switchOff(operation, ana)).toMatchObject(off);
      expect(await control.switchOff(operation, ana)).toMatchObject(off);
      await vi.waitFor(() => expect(flags.answer(operation, "a").candidate).toBe(false), 10_000);
      await expect(control.setPercentage(operation, 10, ana)).rejects.toMatchObject({
        code: "FLAGS_HELD",
      });
      await control.setPercentage(operation, 0, ana);
      await expect(control.setPercentage(operation, 10, ana)).rejects.toMatchObject({
        code: "FLAGS_HELD",
      });
      expect(await control.releaseHold(operation, ana)).toMatchObject({ percentage: 0 });
      expect(await control.setPercentage(operation, 10, ana)).toMatchObject({
        enabled: true,
        percentage: 10,
      });
    });

    it("are never switched on by who may not", async () => {
      const { control } = await open();
      await control.switchOff(operation, ana);
      await control.releaseHold(operation, ana);
      const automatic = { mayEnable: false };
      await expect(control.setPercentage(operation, 1, ana, automatic)).rejects.toMatchObject({
        code: "FLAGS_OFF",
      });
      await control.setPercentage(operation, 0, ana, automatic);
      expect(await control.read(operation)).toMatchObject({ enabled: false, percentage: 0 });
      await control.setPercentage(operation, 1, ana);
      expect(await control.setPercentage(operation, 10, ana, automatic)).toMatchObject({
        enabled: true,
        percentage: 10,
      });
    });

    it.each([150, -1, 1.5, 0.05, Number.NaN])("refuse %s as a percentage", async (bad) => {
      const { control } = await open();
      for (const set of [control.setPercentage, control.setShadow]) {
        const refused = set.call(control, operation, bad, ana);
        await expect(refused).rejects.toMatchObject({ code: "FLAGS_INVALID_PERCENTAGE" });
      }
      expect(await control.read(operation)).toMatchObject({ percentage: 0 });
    });

    it("lose nothing when both operations are changed at once", async () => {
      const { control } = await open();
      await Promise.all([
        control.setPercentage(operation, 11, ana),
        control.setPercentage(other, 22, ana),
        control.setShadow(operation, 33, ana),
      ]);
      expect(await control.read(operation)).toMatchObject({ percentage: 11, shadowPercentage: 33 });
      expect(await control.read(other)).toMatchObject({ percentage: 22 });
    });
  });
}
