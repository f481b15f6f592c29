import { renameSync } from "node:fs";
import { mkdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import type { LogFields, Logger } from "../../base/logger.ts";
import { withPackage } from "./optional-package.ts";

/** Bytes after which a new log file is begun; the full one is kept beside it with `.1` at its end. */
const FILE_BYTES_MAX = 10 * 2 ** 20;
/** Bytes that may wait for a slow disk; lines on top of that are dropped. */
const WAITING_BYTES_MAX = 4 * 2 ** 20;

/** A log on disk. */
export interface LogFile {
  readonly logger: Logger;
  readonly path: string;
  /** Writes what waits. Never rejects. */
  close(): Promise<void>;
}

/**
 * Opens `<dataDir>/logs/changeover.log`, readable by this user only, in JSON lines. It and the file
 * before it hold at most 20 MiB. A full disk costs log lines and nothing else.
 */
export async function openLogFile(
  dataDir: string,
  level: "debug" | "info" | "warn" | "error" | "silent",
): Promise<LogFile> {
  const { pino } = await withPackage("the log of changeover start", () => import("pino"));
  const folder = join(dataDir, "logs");
  const path = join(folder, "changeover.log");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  let bytes = await sizeOf(path);
  if (bytes > FILE_BYTES_MAX) {
    await rename(path, `${path}.1`);
    bytes = 0;
  }
  const destination = pino.destination({
    dest: path,
    mode: 0o600,
    sync: false,
    maxLength: WAITING_BYTES_MAX,
  });
  destination.on("error", () => undefined);
  destination.on("write", (written: number) => {
    bytes += written;
    if (bytes <= FILE_BYTES_MAX) return;
    bytes = 0;
    renameSync(path, `${path}.1`);
    destination.reopen();
  });
  const log = pino({ level, base: { pid: process.pid } }, destination);
  return {
    path,
    logger: loggerOf(log),
    close: () =>
      new Promise((resolve) => {
        destination.once("close", resolve);
        destination.once("error", resolve);
        destination.end();
      }),
  };
}

/** The port's four levels and nothing else of the library's logger. */
function loggerOf(log: Logger): Logger {
  return {
    debug: (fields: LogFields, message: string) => log.debug(fields, message),
    info: (fields: LogFields, message: string) => log.info(fields, message),
    warn: (fields: LogFields, message: string) => log.warn(fields, message),
    error: (fields: LogFields, message: string) => log.error(fields, message),
  };
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
