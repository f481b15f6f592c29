/** One path is missing. */
export const operation: object = { name: "half", legacy: (): number => 1, inputs: [1] };
