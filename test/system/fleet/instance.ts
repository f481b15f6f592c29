import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import {
  type Answer,
  type InstanceDoors,
  type InstanceSettings,
  type InstanceView,
  type Question,
  reachedId,
} from "./protocol.ts";

const program = fileURLToPath(new URL("fixtures/instance.ts", import.meta.url));
/** Milliseconds until an instance that does not answer fails the test. */
const patienceMs = 60_000;

type Given<D extends keyof InstanceDoors> = Parameters<InstanceDoors[D]>[0];
type Got<D extends keyof InstanceDoors> = Awaited<ReturnType<InstanceDoors[D]>>;

/** A process of the fleet. */
export class Instance {
  readonly settings: InstanceSettings;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #ended: Promise<unknown>;
  #asked = 0;
  #stderr = "";

  private constructor(settings: InstanceSettings) {
    this.settings = settings;
    this.#child = fork(program, [JSON.stringify(settings)], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child.stderr?.on("data", (chunk) => {
      this.#stderr = `${this.#stderr}${chunk}`.slice(-4000);
    });
    this.#ended = once(this.#child, "exit");
    this.#child.on("message", (answer: Answer) => this.#waiting.get(answer.id)?.(answer));
    void this.#ended.then(() => {
      const error = `${this.name} has ended: ${this.#stderr}`;
      for (const [id, answer] of this.#waiting) answer({ id, error });
    });
  }

  /** Resolves when it has started. */
  static async start(settings: InstanceSettings): Promise<Instance> {
    const instance = new Instance(settings);
    await instance.#answer(0);
    return instance;
  }

  get name(): string {
    return this.settings.instance;
  }

  async ask<D extends keyof InstanceDoors>(door: D, given?: Given<D>): Promise<Got<D>> {
    this.#asked += 1;
    const question: Question = { id: this.#asked, door, given };
    const answer = this.#answer(question.id);
    this.#child.send(question);
    return (await answer) as Got<D>;
  }

  view(): Promise<InstanceView> {
    return this.ask("view");
  }

  /** Kills it without a word. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  /** Resolves when it is gone, by whatever. */
  async gone(): Promise<void> {
    await this.#ended;
  }

  /** The next time that it says it has reached its point. */
  async reached(): Promise<void> {
    await this.#answer(reachedId);
  }

  /** Goes on after it froze itself. */
  wake(): void {
    this.#child.kill("SIGCONT");
  }

  async #answer(id: number): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.set(id, resolve);
    const timer = setTimeout(
      () => resolve({ id, error: `${this.name} does not answer: ${this.#stderr}` }),
      patienceMs,
    );
    const { value, error } = await promise;
    clearTimeout(timer);
    this.#waiting.delete(id);
    if (error !== undefined) throw new Error(error);
    return value;
  }
}
