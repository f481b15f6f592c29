import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../base/clock.ts";
import { CodedError } from "../../base/errors.ts";
import { systemRandom } from "../../base/random.ts";
import type { FlagFile } from "../flag-file.ts";
import { parseFlagFile } from "../flag-file.ts";
import { FlagFolder } from "../flag-folder.ts";
import { parseUnleashAddress, requireText } from "../unleash/address.ts";
import { AdminApi } from "../unleash/admin-api.ts";
import { adminCalls, diffFlags, type FlagDifference, type PlannedCall } from "./flag-plan.ts";
import { type PulledFiles, pulledFiles } from "./pulled-files.ts";
import { type RemoteProject, readRemoteProject } from "./remote-project.ts";
import { wantedFlags } from "./wanted-flag.ts";

/** Which files, and which Unleash. */
export interface FlagsAsCodeOptions {
  /** The folder of flag files. */
  readonly folder: string;
  /** Unleash's address, with or without `/api`. */
  readonly url: string;
  /** A personal access token (role Editor is enough) or an admin token. */
  readonly token: string;
  readonly project: string;
  readonly environment: string;
}

/** How far a push or pull goes. */
export interface FlagSyncOptions {
  /** Percentages and on or off too; default false. */
  readonly percentages?: boolean;
  /** Say what would be done, and do nothing; default false. */
  readonly dryRun?: boolean;
}

/** What a push did, or would do. */
export interface FlagPush {
  readonly calls: readonly PlannedCall[];
  /** Differences that it leaves, with the reason. */
  readonly left: readonly FlagDifference[];
}

/**
 * Keeps flag files and Unleash in step. Throws `FLAGS_INVALID_OPTIONS`, `FLAGS_FOLDER_UNREADABLE`,
 * `FLAGS_INVALID_FILE` and what the Admin API answers (`FLAGS_UNLEASH_*`).
 */
export class FlagsAsCode {
  readonly #folder: string;
  readonly #api: AdminApi;

  constructor(options: FlagsAsCodeOptions) {
    this.#folder = options.folder;
    this.#api = new AdminApi({
      adminUrl: parseUnleashAddress(options.url).admin,
      token: requireText("token", options.token),
      project: requireText("project", options.project),
      environment: requireText("environment", options.environment),
      tryMs: 5000,
      deadlineMs: 15_000,
      clock: systemClock,
      random: systemRandom,
    });
  }

  /** In what files and Unleash differ. */
  async diff(): Promise<readonly FlagDifference[]> {
    const { files, remote } = await this.#read();
    return diffFlags(files, remote, this.#api.access);
  }

  /**
   * Makes Unleash as the files say. Stops at the first call that fails: what was done stays done, and the
   * next push goes on from there.
   */
  async push({ percentages = false, dryRun = false }: FlagSyncOptions = {}): Promise<FlagPush> {
    const { files, remote } = await this.#read();
    const options = { ...this.#api.access, percentages };
    const calls = adminCalls(files, remote, options);
    const left = diffFlags(files, remote, options).filter((each) => each.left !== null);
    if (!dryRun) {
      // Once each: what creates is not safe to do twice.
      for (const call of calls) await this.#api.sendOnce(call);
    }
    return { calls, left };
  }

  /** Makes the files as Unleash has the flags. */
  async pull({ percentages = false, dryRun = false }: FlagSyncOptions = {}): Promise<PulledFiles> {
    const { files, remote } = await this.#read();
    const pulled = pulledFiles(files, remote, { percentages });
    for (const { fileName, text } of pulled.files) parseFlagFile(fileName, text);
    if (!dryRun) {
      for (const { fileName, text } of pulled.files) {
        await writeFile(join(this.#folder, fileName), text);
      }
    }
    return pulled;
  }

  async #read(): Promise<{ files: FlagFile[]; remote: RemoteProject }> {
    const folder = new FlagFolder(this.#folder);
    await folder.check();
    await folder.look();
    const [problem] = folder.problems;
    if (problem !== undefined) {
      throw new CodedError("FLAGS_INVALID_FILE", problem.message, {
        status: 400,
        details: { fileName: problem.subject },
      });
    }
    const files = [...folder.migrations, ...folder.operations];
    return { files, remote: await readRemoteProject(this.#api, wantedFlags(files)) };
  }
}
