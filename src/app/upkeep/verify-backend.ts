import { type Clock, systemClock } from "../../base/clock.ts";
import { createProvider } from "../../files/providers/create-provider.ts";
import type { VerifyOptions, VerifyReport } from "../../files/verify/verification.ts";
import { verifyOnSupabase } from "../../files/verify/verify-on-supabase.ts";
import type { Backend } from "../backend.ts";
import { profilesOf } from "../files/file-managers.ts";

/** How {@link verifyBackend} goes. */
export interface VerifyBackendOptions extends VerifyOptions {
  /** Look at the AI providers too; default true. Not for accounts that other programs share. */
  readonly withProviders?: boolean;
  readonly clock?: Clock;
}

/** Compares rows, stored bytes and provider files of a backend. See `verifyFiles` for what it throws. */
export function verifyBackend(
  backend: Backend,
  { withProviders = true, clock = systemClock, ...options }: VerifyBackendOptions,
): Promise<VerifyReport> {
  const names = withProviders ? (["kimi", "glm"] as const) : [];
  const providers = names.flatMap((name) => {
    const access = backend[name];
    return access === null
      ? []
      : [createProvider({ ...access, name, transport: "streaming", clock })];
  });
  const profiles = withProviders ? profilesOf(backend) : [];
  const setup = { supabase: backend.supabase, providers, profiles, clock, withProviders };
  return verifyOnSupabase(setup, options);
}
