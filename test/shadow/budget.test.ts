import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AdmissionInput,
  admissionTable,
  defaultBudget,
  refuseShadow,
  skipReasons,
} from "../../src/shadow/budget.ts";

const fine: AdmissionInput = {
  ...{ closed: false, shadowable: true, aborted: false, fellBack: false, latched: false },
  ...{ replayable: true, pressure: false, busy: false, bytes: 1, bytesInFlight: 0, thisMinute: 0 },
  ...{ queued: 0, abandoned: 0, notWritten: false, held: 0, heldInFlight: 0 },
};

describe("the admission of a shadow", () => {
  it("lets a call in when nothing speaks against it", () => {
    expect(refuseShadow(fine, defaultBudget)).toBeNull();
  });

  it.each([
    [{ closed: true, shadowable: false }, "closed"],
    [{ shadowable: false, pressure: true }, "not-shadowable"],
    [{ aborted: true }, "aborted"],
    [{ fellBack: true }, "fallback"],
    [{ notWritten: true, latched: true }, "not-written"],
    [{ latched: true }, "latched"],
    [{ replayable: false }, "not-replayable"],
    [{ pressure: true, queued: 1000 }, "pressure"],
    [{ busy: true, queued: 1000 }, "busy-loop"],
    [{ abandoned: 16 }, "abandoned"],
    [{ bytes: 64 * 1024 * 1024 + 1 }, "too-large"],
    [{ bytes: 2, bytesInFlight: 64 * 1024 * 1024 - 1 }, "no-memory"],
    [{ held: 256 * 1024 * 1024 + 1 }, "too-large"],
    [{ held: 2, heldInFlight: 256 * 1024 * 1024 - 1 }, "held-bytes"],
    [{ thisMinute: 600 }, "rate"],
    [{ queued: 100 }, "queue-full"],
  ])("answers to %j with %s", (change, reason) => {
    expect(refuseShadow({ ...fine, ...change }, defaultBudget)).toBe(reason);
  });

  it("has every reason of its table in the closed list", () => {
    expect(skipReasons).toEqual(expect.arrayContaining(admissionTable.map((row) => row.reason)));
  });

  it("never lets in more memory than the budget has", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.nat(), (bytes, bytesInFlight, inFlightBytesMax) => {
        const refused = refuseShadow(
          { ...fine, bytes, bytesInFlight },
          { ...defaultBudget, inFlightBytesMax },
        );
        expect(refused === null).toBe(bytes + bytesInFlight <= inFlightBytesMax);
      }),
    );
  });
});
