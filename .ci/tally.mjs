// Reads vitest's JSON reports of one suite, the later ones for files that were run again, and prints
// "passed failed", or with --failed-files the files to run again, one a line.
import { existsSync, readFileSync } from "node:fs";
import { relative } from "node:path";

const args = process.argv.slice(2);
const listFiles = args[0] === "--failed-files";
const reports = (listFiles ? args.slice(1) : args).filter((path) => existsSync(path));
if (reports.length === 0) throw new Error("There is no report.");

/** @type {Map<string, { status: string, assertionResults: { status: string }[] }>} */
const files = new Map();
for (const path of reports) {
  for (const file of JSON.parse(readFileSync(path, "utf8")).testResults) files.set(file.name, file);
}

let passed = 0;
let failed = 0;
const failedFiles = [];
for (const [name, { status, assertionResults }] of files) {
  const bad = assertionResults.filter((test) => test.status === "failed").length;
  passed += assertionResults.filter((test) => test.status === "passed").length;
  // A file that could not even be loaded has no failed test of its own.
  failed += bad === 0 && status === "failed" ? 1 : bad;
  if (bad > 0 || status === "failed") failedFiles.push(relative(process.cwd(), name));
}
const answer = listFiles ? failedFiles.join("\n") : `${passed} ${failed}`;
process.stdout.write(`${answer}\n`);
