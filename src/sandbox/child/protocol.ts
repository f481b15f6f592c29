/** What the parent sends to a child over IPC. Settings travel here and not in argv, where every user of the machine could read them. */
export type ToChild<Settings> =
  | { readonly kind: "start"; readonly settings: Settings }
  | { readonly kind: "stop" };

/**
 * What a child answers to `start`: where it listens, or why it could not. A child whose server needs
 * longer than its address says so with `joins`, and answers `joined` or `failed` later.
 */
export type FromChild<Ready, Joined = unknown> =
  | { readonly kind: "ready"; readonly ready: Ready; readonly joins: boolean }
  | { readonly kind: "joined"; readonly joined: Joined }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

/** How long a child may take to close its server and files after `stop`, in milliseconds, before it exits anyway. */
export const CHILD_STOP_LIMIT_MS = 700;

/** How long the parent waits for a child to exit after `stop`, in milliseconds, before it kills it. */
export const PARENT_STOP_LIMIT_MS = 950;
