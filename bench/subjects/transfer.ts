/** Everything that can carry a file to storage, and the limits of the machine. */
export type TransferName =
  | "changeover"
  | "changeover, hash known"
  | "legacy"
  | "supabase-js, Buffer"
  | "supabase-js, stream"
  | "tus-js-client"
  | "undici stream"
  | "undici stream + SHA-256"
  | "curl -T"
  | "SHA-256 of one core"
  | "bare loopback copy";

/** What hashes while it sends, or is nothing but hashing: to be compared with hashing on the fly. */
export const hashing: readonly TransferName[] = [
  "changeover",
  "legacy",
  "undici stream + SHA-256",
  "SHA-256 of one core",
];

/** Limits of the machine rather than peers. */
export const limits: readonly TransferName[] = ["SHA-256 of one core", "bare loopback copy"];

/** Where a transfer goes, and what is known of what is sent. */
export interface TransferTarget {
  readonly url: string;
  readonly rawPort: number;
  readonly bucket: string;
  readonly secretKey: string;
  /** SHA-256 of a file that was made for the measurement, computed beforehand. */
  readonly sha256: (path: string) => string;
}

/** Something that sends files to a server. */
export interface NetworkSubject {
  readonly name: string;
  /** Sends one file, whole; resolves when the server has said that it has it. */
  readonly send: (path: string) => Promise<void>;
  /** The process that does the work, where it is not this one. */
  readonly isForeign?: boolean;
  /** Sends nothing: it shows what reading and hashing alone cost. */
  readonly sendsNothing?: boolean;
  readonly close: () => Promise<void>;
}
