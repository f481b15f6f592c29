import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Clock } from "../../base/clock.ts";
import type { UnleashApi } from "./admin-api.ts";

/** The context property that decides who gets the candidate; flags name it as their stickiness. */
export const ROUTING_KEY_FIELD = "routingKey";
/** The user in whose name flags are written; the audit log shows it. */
export const EDITOR_NAME = "changeover";

/** What is needed to set the server up. */
export interface Provisioning {
  readonly api: UnleashApi;
  readonly clock: Clock;
  readonly project: string;
  /** A token with all rights, made on the first boot. */
  readonly rootToken: string;
  readonly editorPassword: string;
  /** Where the editor's token is kept, with mode 0600. */
  readonly tokenFile: string;
}

/** Unleash's role number for an editor: flags and strategies, no users or API tokens. */
const EDITOR_ROLE = 2;
const TOKEN_DESCRIPTION = "changeover";
const TOKEN_YEARS = 10;

/**
 * Sets the server up: the context field, a default strategy of 0 % (else switching on a flag without a
 * strategy exposes everybody), an editor with a personal token. What is there already stays as it is,
 * so that it may be called after every boot. Returns the editor's token. Throws `SANDBOX_UNLEASH_SETUP`.
 */
export async function provision(provisioning: Provisioning): Promise<string> {
  await addContextField(provisioning);
  await setDefaultStrategies(provisioning);
  const kept = readToken(provisioning.tokenFile);
  if (kept !== null && (await works(provisioning, kept))) return kept;
  await addEditor(provisioning);
  const token = await makeToken(provisioning);
  writeFileSync(`${provisioning.tokenFile}.new`, token, { mode: 0o600 });
  renameSync(`${provisioning.tokenFile}.new`, provisioning.tokenFile);
  return token;
}

async function addContextField({ api, rootToken }: Provisioning): Promise<void> {
  const headers = { authorization: rootToken };
  const { body } = await api.demand("/api/admin/context", { headers });
  if ((body as { name: string }[]).some(({ name }) => name === ROUTING_KEY_FIELD)) return;
  await api.demand("/api/admin/context", {
    method: "POST",
    headers,
    body: {
      name: ROUTING_KEY_FIELD,
      description: "Who or what a call is made for: the same key is always routed the same way.",
      stickiness: true,
    },
  });
}

async function setDefaultStrategies(provisioning: Provisioning): Promise<void> {
  const { api, rootToken, project } = provisioning;
  const headers = { authorization: rootToken };
  const { body } = await api.demand(`/api/admin/environments/project/${project}`, { headers });
  const known = (body as { environments: { name: string; defaultStrategy?: unknown }[] })
    .environments;
  for (const { name, defaultStrategy } of known) {
    // A person may have chosen another one since; that is theirs to decide.
    if (defaultStrategy !== undefined && defaultStrategy !== null) continue;
    await api.demand(`/api/admin/projects/${project}/environments/${name}/default-strategy`, {
      method: "POST",
      headers,
      body: {
        name: "flexibleRollout",
        constraints: [],
        parameters: { rollout: "0", stickiness: ROUTING_KEY_FIELD, groupId: "" },
      },
    });
  }
}

async function addEditor({ api, rootToken, editorPassword }: Provisioning): Promise<void> {
  const headers = { authorization: rootToken };
  const { body } = await api.demand("/api/admin/user-admin", { headers });
  const { users } = body as { users: { id: number; username?: string }[] };
  const found = users.find(({ username }) => username === EDITOR_NAME);
  const password = editorPassword;
  if (found !== undefined) {
    const path = `/api/admin/user-admin/${found.id}/change-password`;
    const login = await logIn(api, password);
    if (login.status !== 200) {
      await api.demand(path, { method: "POST", headers, body: { password } });
    }
    return;
  }
  await api.demand("/api/admin/user-admin", {
    method: "POST",
    headers,
    body: { username: EDITOR_NAME, rootRole: EDITOR_ROLE, password, sendEmail: false },
  });
}

function logIn(api: UnleashApi, password: string): ReturnType<UnleashApi["send"]> {
  const body = { username: EDITOR_NAME, password };
  return api.send("/auth/simple/login", { method: "POST", body });
}

async function makeToken({ api, editorPassword, clock }: Provisioning): Promise<string> {
  const body = { username: EDITOR_NAME, password: editorPassword };
  const { cookie } = await api.demand("/auth/simple/login", { method: "POST", body });
  const headers = { cookie };
  const path = "/api/admin/user/tokens";
  const { body: known } = await api.demand(path, { headers });
  for (const { id, description } of (known as { pats: { id: string; description: string }[] })
    .pats) {
    if (description !== TOKEN_DESCRIPTION) continue;
    await api.demand(`${path}/${id}`, { method: "DELETE", headers });
  }
  const expires = new Date(clock.now());
  expires.setFullYear(expires.getFullYear() + TOKEN_YEARS);
  const made = await api.demand(path, {
    method: "POST",
    headers,
    body: { description: TOKEN_DESCRIPTION, expiresAt: expires.toISOString() },
  });
  return (made.body as { secret: string }).secret;
}

async function works({ api, project }: Provisioning, token: string): Promise<boolean> {
  const headers = { authorization: token };
  const { status } = await api.send(`/api/admin/projects/${project}/features`, { headers });
  return status === 200;
}

function readToken(file: string): string | null {
  const text = existsSync(file) ? readFileSync(file, "utf8").trim() : "";
  return text === "" ? null : text;
}
