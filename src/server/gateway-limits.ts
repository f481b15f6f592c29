/** Every limit of the gateway; sizes in bytes, times in milliseconds. */
export interface GatewayLimits {
  /** Connections at a time; the next one is closed at once. Default 1024. */
  readonly connectionsMax: number;
  /** Request line and headers together. Default 16 KiB, as Node's own. */
  readonly headerBytes: number;
  /** Header fields of one request. Default 100. */
  readonly headersMax: number;
  /** Until a request's headers must be there. Default 15,000. */
  readonly headersTimeoutMs: number;
  /** How long an idle connection is kept; longer than the 60 s of common load balancers. Default 65,000. */
  readonly keepAliveMs: number;
  /** How long a body may go without a byte before it gets a 408. Default 60,000. */
  readonly bodyIdleMs: number;
  /** How long a reader of a download may take nothing before it is cut off. Default 120,000. */
  readonly downloadIdleMs: number;
  /** After an early refusal: how long the rest of the body is still read, so that the answer arrives. Default 5,000. */
  readonly lingerMs: number;
  /** And how much of it. Default 64 MiB. */
  readonly lingerBytes: number;
  /** What a form may hold beside its file. Default 1 MiB. */
  readonly formOverheadBytes: number;
  /** One field of a form. Default 16 KiB. */
  readonly fieldBytes: number;
  /** Fields of a form. Default 40. */
  readonly fieldsMax: number;
  /** A JSON body of the control API. Default 64 KiB. */
  readonly jsonBytes: number;
  /** Until all of a JSON body must be there. Default 10,000. */
  readonly jsonMs: number;
  /** Console pages that are served at a time. Default 32. */
  readonly consoleClientsMax: number;
  /** Bytes that may wait for a console page before it is disconnected. Default 1 MiB. */
  readonly consoleBufferBytes: number;
  /** How long calls have to end once they were aborted at the end of a drain. Default 500. */
  readonly abortGraceMs: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;

/** The limits in force unless others are given. */
export const defaultLimits: GatewayLimits = {
  connectionsMax: 1024,
  headerBytes: 16 * KiB,
  headersMax: 100,
  headersTimeoutMs: 15_000,
  keepAliveMs: 65_000,
  bodyIdleMs: 60_000,
  downloadIdleMs: 120_000,
  lingerMs: 5000,
  lingerBytes: 64 * MiB,
  formOverheadBytes: MiB,
  fieldBytes: 16 * KiB,
  fieldsMax: 40,
  jsonBytes: 64 * KiB,
  jsonMs: 10_000,
  consoleClientsMax: 32,
  consoleBufferBytes: MiB,
  abortGraceMs: 500,
};
