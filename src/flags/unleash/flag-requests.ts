import { isCodedError } from "../../base/errors.ts";
import { type AdminApi, environmentPath } from "./admin-api.ts";
import {
  type PatchStep,
  parseRemoteEnvironment,
  type RemoteEnvironment,
  type RemoteStrategy,
} from "./remote-flag.ts";

/** The requests of Unleash's Admin API that read and change one flag in one environment, each sent once. */
export class FlagRequests {
  readonly #api: AdminApi;

  constructor(api: AdminApi) {
    this.#api = api;
  }

  /** Throws `FLAGS_UNKNOWN` where there is no such flag. */
  async read(flag: string): Promise<RemoteEnvironment> {
    const path = this.#path(flag);
    return parseRemoteEnvironment(flag, await this.#api.sendOnce({ method: "GET", path }));
  }

  async readIfThere(flag: string): Promise<RemoteEnvironment | null> {
    try {
      return await this.read(flag);
    } catch (error) {
      if (isCodedError(error) && error.code === "FLAGS_UNKNOWN") return null;
      throw error;
    }
  }

  switch(flag: string, to: "on" | "off"): Promise<unknown> {
    return this.#api.sendOnce({ method: "POST", path: `${this.#path(flag)}/${to}` });
  }

  addStrategy(flag: string, body: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#api.sendOnce({ method: "POST", path: `${this.#path(flag)}/strategies`, body });
  }

  patch(flag: string, { id }: RemoteStrategy, body: readonly PatchStep[]): Promise<unknown> {
    const path = `${this.#path(flag)}/strategies/${encodeURIComponent(id)}`;
    return this.#api.sendOnce({ method: "PATCH", path, body });
  }

  #path(flag: string): string {
    return environmentPath(this.#api.access, flag);
  }
}
