import type { AddressInfo } from "node:net";
import { type FastifyInstance, fastify } from "fastify";
import type { App } from "../app/app.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { codeOf } from "../base/errors.ts";
import {
  type AnswerOptions,
  addAnswers,
  addDoorChecks,
  addMethodAnswers,
  answerBadAddress,
} from "./answer/answers.ts";
import { answerBrokenRequest } from "./answer/broken-request.ts";
import { addConsoleRoutes } from "./console/console-routes.ts";
import { addControlRoutes } from "./control/control-routes.ts";
import { listenFailed, offLoopback, portBusy, shuttingDown } from "./errors.ts";
import { requestIdOf } from "./exchange.ts";
import { addFileRoutes } from "./files/file-routes.ts";
import { defaultLimits, type GatewayLimits } from "./gateway-limits.ts";
import { addHealthRoutes } from "./health-routes.ts";
import { addHookRoutes } from "./hooks/hook-routes.ts";
import { Callers } from "./identity/caller.ts";
import { isLoopbackHost } from "./identity/site-check.ts";
import { InFlight } from "./in-flight.ts";
import { addRequestLog } from "./request-log.ts";

/** What a gateway may be told beside its app. */
export interface GatewayOptions {
  readonly limits?: Partial<GatewayLimits>;
  readonly clock?: Clock;
}

/** Where a gateway can be reached. */
export interface Listening {
  /** Such as `http://127.0.0.1:8787`. */
  readonly url: string;
  readonly port: number;
}

/**
 * The HTTP door of the product: files in the shape of OpenAI's API, the control API for operators,
 * metrics and health. It owns its server and nothing else; the app is closed by whoever made it.
 */
export class Gateway {
  readonly #app: App;
  readonly #clock: Clock;
  readonly #limits: GatewayLimits;
  readonly #server: FastifyInstance;
  readonly #inFlight = new InFlight();
  #draining = false;
  #closing: Promise<void> | undefined;

  constructor(app: App, options: GatewayOptions = {}) {
    this.#app = app;
    this.#clock = options.clock ?? systemClock;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#server = newServer(app, this.#limits);
    this.#addRoutes();
  }

  /** Calls that have not ended. */
  get callsInFlight(): number {
    return this.#inFlight.size;
  }

  /**
   * Starts to listen on the configured host and port. Throws `GATEWAY_OFF_LOOPBACK` when strangers
   * could reach it and there are no keys, `GATEWAY_PORT_BUSY` or `GATEWAY_LISTEN_FAILED`.
   */
  async listen(): Promise<Listening> {
    const { host, port } = this.#app.config;
    if (this.#app.owners === null && !isLoopbackHost(host)) throw offLoopback(host);
    const listenTextResolver = (): string => "Listening";
    try {
      await this.#server.listen({
        host: host.replace(/^\[(.*)\]$/, "$1"),
        port,
        listenTextResolver,
      });
    } catch (cause) {
      await this.#server.close();
      throw codeOf(cause) === "EADDRINUSE"
        ? portBusy(host, port, cause)
        : listenFailed(host, port, cause);
    }
    const bound = this.#server.server.address() as AddressInfo;
    const shown = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
    return { url: `http://${shown}:${bound.port}`, port: bound.port };
  }

  /**
   * Stops: `/readyz` says so and new calls get a 503 at once, calls in flight may go on for
   * `deadlineMs` milliseconds (default: the configured `CHANGEOVER_DRAIN_MS`), then they are aborted
   * and every connection is closed. Calling it again waits for the same end. Never rejects.
   */
  close(deadlineMs: number = this.#app.config.drainMs): Promise<void> {
    this.#closing ??= this.#close(deadlineMs);
    return this.#closing;
  }

  async #close(deadlineMs: number): Promise<void> {
    const { logger } = this.#app;
    this.#draining = true;
    if (!(await this.#inFlight.idle(this.#clock, deadlineMs))) {
      const calls = this.#inFlight.size;
      logger.warn({ calls, deadlineMs }, "Calls did not end in time and are aborted");
      this.#inFlight.abortAll(shuttingDown());
      await this.#inFlight.idle(this.#clock, this.#limits.abortGraceMs);
    }
    try {
      await this.#server.close();
      // A call that was cut off may still have its spool file to remove.
      await this.#inFlight.idle(this.#clock, this.#limits.abortGraceMs);
    } catch (error) {
      logger.error({ err: error }, "The gateway did not close properly");
    }
  }

  #addRoutes(): void {
    const server = this.#server;
    const [app, clock, limits] = [this.#app, this.#clock, this.#limits];
    const callers = new Callers(app);
    const draining = (): boolean => this.#draining;
    const gate = { callers, inFlight: this.#inFlight, draining };
    const shared: AnswerOptions = { app, limits, clock };
    addAnswers(server, shared);
    addRequestLog(server, app.logger, clock);
    addDoorChecks(server, shared);
    const addMissingMethods = addMethodAnswers(server);
    addHealthRoutes(server, { app, callers, draining });
    addConsoleRoutes(server, { app, callers, limits, clock });
    server.register((files, _options, done) => {
      addFileRoutes(files, shared, gate);
      done();
    });
    server.register((control, _options, done) => {
      addControlRoutes(control, { ...shared, callers });
      done();
    });
    server.register((hooks, _options, done) => {
      addHookRoutes(hooks, { app, callers });
      done();
    });
    server.register((_missing, _options, done) => {
      addMissingMethods();
      done();
    });
  }
}

function newServer(app: App, limits: GatewayLimits): FastifyInstance {
  const server = fastify({
    logger: false,
    genReqId: requestIdOf,
    bodyLimit: limits.jsonBytes,
    // Uploads may take hours; a body that stands still is what gets a limit (`bodyIdleMs`).
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveMs,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: limits.headerBytes },
    http: {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: Math.ceil(limits.headersTimeoutMs / 3),
    },
    frameworkErrors: answerBadAddress(app.logger, limits.jsonBytes),
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket, limits.headerBytes),
  });
  server.server.maxConnections = limits.connectionsMax;
  // Node drops fields beyond its limit in silence; with one to spare they can be refused instead.
  server.server.maxHeadersCount = limits.headersMax + 1;
  // A client that asks before it sends is told to go on by the route that wants the body, not sooner.
  server.server.on("checkContinue", (request, response) => {
    server.server.emit("request", request, response);
  });
  return server;
}

/** The gateway of an app; it listens once `listen` is called. */
export function createGateway(app: App, options: GatewayOptions = {}): Gateway {
  return new Gateway(app, options);
}
