import type { StageInput } from "./plan.ts";

const hour = 3600;
const day = 24 * hour;

/**
 * The default. It begins in the shadow, where the candidate harms nobody; writes stop at 95 %, so that
 * legacy still sees enough calls to be compared with. The samples are what it takes to exclude an increase
 * of 5 points (100 calls), 2 points (500) and 1 point (2,000) where both paths fail one call in a hundred.
 */
const strict: readonly StageInput[] = [
  { percentage: 0, shadowPercentage: 10, holdSeconds: hour, samples: 200 },
  { percentage: 1, shadowPercentage: 10, holdSeconds: hour, samples: 100 },
  { percentage: 10, shadowPercentage: 10, holdSeconds: 4 * hour, samples: 500 },
  { percentage: 50, shadowPercentage: 5, holdSeconds: 8 * hour, samples: 2000 },
  { percentage: 95, shadowPercentage: 1, holdSeconds: day, samples: 5000, only: "write" },
  { percentage: 100, shadowPercentage: 0, holdSeconds: day, samples: 5000 },
];

/**
 * The four stages of the file system's first rollout plan, with its gates as they were: they grow looser
 * as traffic grows. They are asked besides the guard's verdict, never instead of it. A start at 0 % that
 * asks for nothing stands before them.
 */
const predecessor: readonly StageInput[] = [
  { percentage: 0, shadowPercentage: 0, holdSeconds: 0, samples: 0 },
  {
    percentage: 1,
    shadowPercentage: 10,
    holdSeconds: day,
    samples: 100,
    successRateMin: 0.995,
    errorRateMax: 0.005,
    latencyFactorMax: 1.1,
  },
  {
    percentage: 10,
    shadowPercentage: 10,
    holdSeconds: 2 * day,
    samples: 500,
    successRateMin: 0.99,
    errorRateMax: 0.01,
    latencyFactorMax: 1.05,
  },
  {
    percentage: 50,
    shadowPercentage: 10,
    holdSeconds: 3 * day,
    samples: 2000,
    successRateMin: 0.985,
    errorRateMax: 0.015,
    latencyFactorMax: 1.02,
  },
  {
    percentage: 100,
    shadowPercentage: 0,
    holdSeconds: 7 * day,
    samples: 5000,
    successRateMin: 0.98,
    errorRateMax: 0.02,
    latencyFactorMax: 1,
  },
];

/** The plans that need not be written down. */
export const builtInProfiles: Readonly<Record<string, readonly StageInput[]>> = {
  strict,
  predecessor,
};
