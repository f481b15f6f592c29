import type { OnDuplicate } from "../files/file-manager.ts";

/** What the worker is asked to do. */
export type SyncRequest =
  | {
      readonly kind: "upload";
      readonly path: string;
      readonly owner: string;
      readonly key: string | null;
      readonly name: string | null;
      readonly provider: string | null;
      readonly purpose: string | null;
      readonly mimeType: string | null;
      readonly metadata: Readonly<Record<string, string>>;
      readonly onDuplicate: OnDuplicate;
    }
  | {
      readonly kind: "download";
      readonly id: string;
      readonly owner: string;
      readonly key: string | null;
      readonly destination: string;
    }
  | {
      readonly kind: "delete";
      readonly id: string;
      readonly owner: string;
      readonly key: string | null;
    }
  | { readonly kind: "close" };

/**
 * What the worker may take beyond a request's own time limit, in milliseconds, to say that it is over.
 * After it the worker ends itself.
 */
export const GRACE_MS = 5000;

/** An error as it crosses the threads. */
export interface SentError {
  readonly code: string | null;
  readonly message: string;
  readonly status: number;
  readonly retryable: boolean;
  readonly retryAfterSeconds: number | null;
  readonly details: Readonly<Record<string, unknown>>;
}

export type SyncReply =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: SentError };
