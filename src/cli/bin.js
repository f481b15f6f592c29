#!/usr/bin/env node
// Plain JavaScript that any Node from 18 on can run: finds the program and a Node that is new enough.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import module, { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, "main.ts");
const inClone = existsSync(source);
const entry = inClone ? source : join(here, "..", "..", "dist", "cli", "main.js");

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const newEnough = major > 22 || (major === 22 && minor >= 19);
const runsTypes = Boolean(process.features.typescript);

if (newEnough && (runsTypes || !inClone)) {
  keepCompiledCode();
  await import(pathToFileURL(entry).href);
} else runWithNewerNode();

/** Halves the time of every command but the first; where the folder cannot be written, nothing is kept. */
function keepCompiledCode() {
  const root = join(here, "..", "..");
  const installed = basename(dirname(root)) === "node_modules";
  const modules = installed ? dirname(root) : join(root, "node_modules");
  module.enableCompileCache?.(join(modules, ".cache", "changeover"));
}

/** The `node` package brings a Node of its own; where it is installed, it runs the program instead. */
function runWithNewerNode() {
  const node = newerNode();
  if (node === undefined) {
    process.stderr.write(
      `changeover needs Node 22.19 or newer; this is ${process.versions.node}. Install a newer Node, or add one to this project: npm install --save-dev node@24\n`,
    );
    process.exitCode = 1;
    return;
  }
  // The channel tells the program when this process is gone, also after kill -9.
  const child = spawn(node, [entry, ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  // A terminal's Ctrl-C reaches both processes; the program counts two signals at once as one.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => child.kill(signal));
  }
  child.on("error", (error) => {
    process.stderr.write(`changeover could not start ${node}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    process.removeAllListeners("SIGINT");
    process.removeAllListeners("SIGTERM");
    process.removeAllListeners("SIGHUP");
    if (signal !== null) process.kill(process.pid, signal);
    else process.exitCode = code ?? 1;
  });
}

/** The binary of the `node` package beside this one, if it is installed. */
function newerNode() {
  try {
    const manifest = createRequire(import.meta.url).resolve("node/package.json");
    const name = process.platform === "win32" ? "node.exe" : "node";
    const binary = join(dirname(manifest), "bin", name);
    return existsSync(binary) ? binary : undefined;
  } catch {
    return undefined;
  }
}
