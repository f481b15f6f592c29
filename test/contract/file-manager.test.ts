import { afterAll, beforeAll } from "vitest";
import type { FileManager } from "../../src/files/file-manager.ts";
import { fileManagerContract } from "./file-manager.ts";
import { FileWorld } from "./file-manager-world.ts";

let world: FileWorld;
let legacy: FileManager;
let streaming: FileManager;

beforeAll(async () => {
  world = await FileWorld.open();
  legacy = world.legacy();
  streaming = world.streaming();
});

afterAll(() => world?.close());

fileManagerContract("legacy", () => ({
  world,
  manager: legacy,
  other: streaming,
  elsewhere: (lock) => world.legacy(lock),
}));

fileManagerContract("streaming", () => ({
  world,
  manager: streaming,
  other: legacy,
  elsewhere: (lock) => world.streaming(lock),
}));
