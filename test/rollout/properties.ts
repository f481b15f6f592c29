import fc from "fast-check";
import { it } from "vitest";

export { fc };

/** A property that must hold for 2,000 examples. */
export function test<T>(
  name: string,
  examples: fc.Arbitrary<T>,
  holds: (example: T) => void,
): void {
  it(name, () => {
    fc.assert(fc.property(examples, holds), { numRuns: 2000 });
  });
}
