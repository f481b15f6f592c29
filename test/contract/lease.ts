import { describe, expect, it } from "vitest";
import type { Lease, LeaseHold } from "../../src/rollout/ports.ts";

/** A fresh lease that nobody ever held, and a way to let its own time pass. */
export interface LeaseWorld {
  /** All of them are the same lease, as different processes see it. */
  lease(): Lease;
  /** Moves the time of the place the lease is kept in. */
  pass(ms: number): Promise<void> | void;
}

/** Takes what must be free. */
export async function taken(lease: Lease, holder: string): Promise<LeaseHold> {
  const hold = await lease.take(holder);
  if (hold === null) throw new Error(`${holder} did not get the lease`);
  return hold;
}

/** What every lease must do. Epochs count on from wherever they begin. */
export function leaseContract(name: string, make: () => Promise<LeaseWorld> | LeaseWorld): void {
  describe(`the lease: ${name}`, () => {
    it("is nobody's at first, and then its taker's for its time", async () => {
      const world = await make();
      const lease = world.lease();
      expect(await lease.current()).toBeNull();
      const hold = await taken(lease, "a");
      expect(hold).toEqual({ epoch: expect.any(Number), holder: "a" });
      expect(hold.epoch).toBeGreaterThan(0);
      const state = await world.lease().current();
      expect(state).toMatchObject(hold);
      expect(state?.expiresInMs).toBeGreaterThan(0);
      expect(state?.expiresInMs).toBeLessThanOrEqual(lease.ttlMs);
    });

    it("is not given to another while it lasts, and is kept by who has it", async () => {
      const world = await make();
      const hold = await taken(world.lease(), "a");
      expect(await world.lease().take("b")).toBeNull();
      await world.pass(world.lease().ttlMs / 2);
      expect(await world.lease().take("a")).toEqual(hold);
      await world.pass(world.lease().ttlMs * 0.75);
      expect(await world.lease().take("b")).toBeNull();
    });

    it("lasts as long as it is renewed", async () => {
      const world = await make();
      const lease = world.lease();
      const hold = await taken(lease, "a");
      for (let n = 0; n < 4; n += 1) {
        await world.pass(lease.ttlMs * 0.75);
        expect(await lease.renew(hold)).toBe(true);
      }
      expect(await world.lease().take("b")).toBeNull();
    });

    it("cannot be renewed once it has expired, even if nobody took it", async () => {
      const world = await make();
      const lease = world.lease();
      const hold = await taken(lease, "a");
      await world.pass(lease.ttlMs + 1);
      expect((await lease.current())?.expiresInMs).toBeLessThanOrEqual(0);
      expect(await lease.renew(hold)).toBe(false);
      expect(await lease.take("a")).toEqual({ epoch: hold.epoch + 1, holder: "a" });
    });

    it("goes to another under a new epoch after it expired, and the old one is worth nothing", async () => {
      const world = await make();
      const lease = world.lease();
      const hold = await taken(lease, "a");
      await world.pass(lease.ttlMs + 1);
      const next = { epoch: hold.epoch + 1, holder: "b" };
      expect(await lease.take("b")).toEqual(next);
      expect(await lease.renew(hold)).toBe(false);
      await lease.release(hold);
      expect(await lease.current()).toMatchObject(next);
      expect(await lease.take("a")).toBeNull();
    });

    it("is free at once when it is given up, and its epoch is never used again", async () => {
      const world = await make();
      const lease = world.lease();
      const hold = await taken(lease, "a");
      await lease.release(hold);
      expect(await lease.current()).toBeNull();
      expect(await lease.renew(hold)).toBe(false);
      expect(await lease.take("a")).toEqual({ epoch: hold.epoch + 1, holder: "a" });
    });

    it("has one holder at most, however many want it at once, a hundred times", async () => {
      const world = await make();
      const first = await taken(world.lease(), "a");
      await world.lease().release(first);
      for (let round = 1; round <= 100; round += 1) {
        const takers = ["a", "b", "c"].map((holder) => world.lease().take(holder));
        const held = (await Promise.all(takers)).filter((hold) => hold !== null);
        expect(held).toHaveLength(1);
        expect(held[0]?.epoch).toBe(first.epoch + round);
        if (round % 2 === 0) await world.pass(world.lease().ttlMs + 1);
        else if (held[0] !== undefined) await world.lease().release(held[0]);
      }
    });
  });
}
