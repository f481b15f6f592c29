import { Readable } from "node:stream";
import type { BenchOperation } from "../../../src/harness/operation/bench-operation.ts";

/** Streams of the same bytes in other chunks, but for the last input. */
export const operation: BenchOperation<string, Readable> = {
  name: "stream",
  legacy: (text: string): Readable => Readable.from([Buffer.from(text)]),
  candidate: (text: string): Readable =>
    Readable.from(text === "three" ? ["four"] : [...text].map((each) => Buffer.from(each))),
  inputs: ["one", "two", "three"],
};
