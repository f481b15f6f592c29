import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A strategy as the fake server keeps it. */
export interface FakeStrategy {
  id: string;
  name: string;
  title?: string;
  disabled: boolean;
  parameters: Record<string, unknown>;
  constraints: unknown[];
  variants: unknown[];
}

interface FakeFeature {
  enabled: boolean;
  strategies: FakeStrategy[];
  parent?: string;
}

/** What the server does with a request instead of answering it. */
export type Fault =
  | "hang"
  | "reset"
  | {
      readonly status: number;
      readonly body?: unknown;
      /** The answer comes after this. */
      readonly after?: Promise<void>;
    };

/**
 * The few routes of Unleash 8 that flags are read and written by, on loopback, with faults: statuses,
 * connections that are cut, and requests that are never answered. Everything else of the server is tested
 * against the real one.
 */
export class FakeUnleash {
  readonly features: Map<string, FakeFeature> = new Map();
  readonly requests: string[] = [];
  /** Runs before each request is served; what it returns is done instead. */
  fault: (request: string) => Fault | null = (): Fault | null => null;
  /** Runs between a request's work and its answer; with `reset` the answer is lost. */
  after: (request: string) => unknown = (): unknown => null;
  /** Without a path. */
  url = "";
  readonly #server: Server;
  #revision = 1;
  #ids = 0;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(port = 0): Promise<FakeUnleash> {
    const fake = new FakeUnleash();
    await new Promise<void>((done) => fake.#server.listen(port, "127.0.0.1", done));
    fake.url = `http://127.0.0.1:${(fake.#server.address() as AddressInfo).port}`;
    return fake;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((done) => this.#server.close(() => done()));
  }

  /** Adds or replaces a feature; its strategies as parameters that differ from a sound one. */
  put(
    name: string,
    enabled: boolean,
    strategies: readonly (Partial<FakeStrategy> & { rollout?: unknown })[] = [{}],
    parent?: string,
  ): void {
    this.features.set(name, {
      enabled,
      strategies: strategies.map((each) => this.#strategy(each)),
      ...(parent === undefined ? {} : { parent }),
    });
    this.#revision += 1;
  }

  strategy(name: string, at = 0): FakeStrategy {
    const strategy = this.features.get(name)?.strategies[at];
    if (strategy === undefined) throw new Error(`no strategy ${at} of ${name}`);
    return strategy;
  }

  /** Requests that changed something. */
  get writes(): string[] {
    return this.requests.filter((each) => !each.startsWith("GET"));
  }

  #strategy(given: Partial<FakeStrategy> & { rollout?: unknown }): FakeStrategy {
    const { rollout = "0", ...rest } = given;
    this.#ids += 1;
    return {
      id: `s${this.#ids}`,
      name: "flexibleRollout",
      disabled: false,
      parameters: { rollout, stickiness: "routingKey", groupId: "files" },
      constraints: [],
      variants: [],
      ...rest,
    };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const line = `${request.method} ${request.url}`;
    this.requests.push(line);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const fault = this.fault(line);
    if (fault === "hang") return;
    if (fault === "reset") {
      request.socket.resetAndDestroy();
      return;
    }
    if (fault !== null) {
      await fault.after;
      const body = fault.body ?? { message: `fault ${fault.status}` };
      reply(response, fault.status, JSON.stringify(body));
      return;
    }
    const text = Buffer.concat(chunks).toString();
    const [status, body] = this.#route(request, text === "" ? null : JSON.parse(text));
    const answer = body === null ? null : JSON.stringify(body);
    if (this.after(line) === "reset") {
      request.socket.resetAndDestroy();
      return;
    }
    const etag = request.url === "/api/client/features" ? { etag: `"r${this.#revision}"` } : {};
    reply(response, status, answer, etag);
  }

  #route(request: IncomingMessage, body: unknown): [number, unknown] {
    const { url = "", method, headers } = request;
    if (url === "/api/client/features") {
      const known = headers["if-none-match"] === `"r${this.#revision}"`;
      return known ? [304, null] : [200, { version: 2, features: this.#clientFeatures() }];
    }
    const found =
      /^\/api\/admin\/projects\/default\/features\/([^/]+)\/environments\/development(?:\/(.+))?$/.exec(
        url,
      );
    const feature = this.features.get(decodeURIComponent(found?.[1] ?? ""));
    if (feature === undefined) return [404, { name: "NotFoundError", message: "not there" }];
    if (method === "GET") return [200, { name: found?.[1], ...feature }];
    this.#revision += 1;
    return this.#write(feature, found?.[2] ?? "", body);
  }

  #write(feature: FakeFeature, what: string, body: unknown): [number, unknown] {
    if (what === "off") feature.enabled = false;
    else if (what === "on") {
      // As the real one: nobody is left without a strategy.
      if (feature.strategies.every((each) => each.disabled)) {
        const parameters = { rollout: "100", stickiness: "default", groupId: "x" };
        feature.strategies.push(this.#strategy({ parameters }));
      }
      feature.enabled = true;
    } else if (what === "strategies") {
      feature.strategies.push(this.#strategy(body as Partial<FakeStrategy>));
    } else {
      const strategy = feature.strategies.find((each) => what === `strategies/${each.id}`);
      if (strategy === undefined) return [404, { message: "no strategy" }];
      return patch(strategy, body as PatchStep[]);
    }
    return [200, null];
  }

  #clientFeatures(): unknown[] {
    return [...this.features].map(([name, { enabled, strategies, parent }]) => ({
      name,
      enabled,
      strategies: strategies
        .filter((each) => !each.disabled)
        .map(({ name: strategy, parameters, constraints, variants }) => ({
          name: strategy,
          parameters,
          constraints,
          variants,
        })),
      ...(parent === undefined ? {} : { dependencies: [{ feature: parent, enabled: true }] }),
    }));
  }
}

interface PatchStep {
  readonly op: string;
  readonly path: string;
  readonly value: unknown;
}

function patch(strategy: FakeStrategy, steps: readonly PatchStep[]): [number, unknown] {
  const place = (path: string): [Record<string, unknown>, string] => {
    const [, first = "", second] = path.split("/");
    const outer = strategy as unknown as Record<string, unknown>;
    return second === undefined
      ? [outer, first]
      : [outer[first] as Record<string, unknown>, second];
  };
  for (const { op, path, value } of steps) {
    const [holder, name] = place(path);
    if (op === "test" && JSON.stringify(holder[name]) !== JSON.stringify(value)) {
      return [500, { name: "UnknownError", message: "Test operation failed\nname: TEST" }];
    }
  }
  for (const { op, path, value } of steps) {
    const [holder, name] = place(path);
    if (op === "add") holder[name] = value;
  }
  return [200, strategy];
}

function reply(
  response: ServerResponse,
  status: number,
  body: string | null,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(body ?? undefined);
}
