/** An operation as users write one: both paths answer the same. */
export const operation = {
  name: "sum",
  legacy: (count: number): number => {
    let sum = 0;
    for (let number = 0; number < count; number += 1) sum += number;
    return sum;
  },
  candidate: async (count: number): Promise<number> => (count * (count - 1)) / 2,
  inputs: async (): Promise<readonly number[]> => [100, 1000],
};
