/**
 * How long Postgres and the child around it may take to stop, in milliseconds: a clean stop writes
 * everything to the disk, and what is cut off costs the next start a recovery.
 */
export const POSTGRES_STOP_LIMIT_MS = 3100;
