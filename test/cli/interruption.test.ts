import { EventEmitter } from "node:events";
import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { Interruption } from "../../src/cli/process/interruption.ts";

let clock: ManualClock;
let signals: EventEmitter;
let exits: number[];
let interruption: Interruption;
beforeEach(() => {
  clock = new ManualClock();
  signals = new EventEmitter();
  exits = [];
  interruption = new Interruption(clock, (code) => exits.push(code));
  interruption.listen(signals);
});

describe("what the user does to end the program", () => {
  it.each([
    ["SIGINT", "CLI_INTERRUPTED"],
    ["SIGTERM", "CLI_TERMINATED"],
    ["SIGHUP", "CLI_TERMINATED"],
    ["disconnect", "CLI_TERMINATED"],
  ])("aborts the command on %s and ends nothing yet", (name, code) => {
    signals.emit(name);
    expect(interruption.signal.reason).toMatchObject({ code });
    expect(exits).toEqual([]);
  });

  it("takes a Ctrl-C that arrives twice, as from a terminal under npm, as one", () => {
    signals.emit("SIGINT");
    clock.advance(120);
    signals.emit("SIGINT");
    expect(exits).toEqual([]);
  });

  it("ends at once on a second Ctrl-C", () => {
    signals.emit("SIGINT");
    clock.advance(301);
    signals.emit("SIGINT");
    expect(exits).toEqual([130]);
  });

  it("ends a command that does not stop in time, which the command may lengthen", () => {
    interruption.allow(3000);
    signals.emit("SIGTERM");
    clock.advance(2999);
    expect(exits).toEqual([]);
    clock.advance(1);
    expect(exits).toEqual([143]);
  });

  it("waits for nothing once the command has ended", () => {
    signals.emit("SIGINT");
    interruption.ended();
    expect(clock.pending).toBe(0);
  });
});
