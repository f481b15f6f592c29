/** Fields of a log line; never file contents, keys or tokens. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Four levels, fields first, then one constant sentence: the shape of pino, so that a pino logger fits
 * as it is. The library logs nothing unless it is given one.
 */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

const nothing = (): void => undefined;

/** A logger that writes nothing: the library's default. */
export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
};
