/**
 * Types for a module that `changeover bench --module` measures: it exports one {@link BenchOperation},
 * as `operation` or by default. Nothing of this exists at run time.
 */
export type { BenchOperation } from "./harness/operation/bench-operation.ts";
export type { Call } from "./migration/call.ts";
export type { PathFunction } from "./migration/operation.ts";
