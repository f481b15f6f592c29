import { EventEmitter } from "node:events";
import { type ClientFeature, routingKeyProperty } from "./features.ts";
import { loadSdk } from "./unleash/sdk.ts";

/** Answers from features that we hold, judged by the real Unleash SDK. */
export interface Evaluator {
  isEnabled(feature: string, key: string): boolean;
  close(): void;
}

/** The features an evaluator judges by; replaced as a whole when something changes. */
export interface FeatureSet {
  current: ReadonlyMap<string, ClientFeature>;
}

/**
 * Feeds the SDK through its `repository` option instead of letting it poll a server. Every feature of
 * the set is answered in memory; nothing is read from or written to disk or network.
 */
class HeldFeatures extends EventEmitter {
  readonly #features: FeatureSet;

  constructor(features: FeatureSet) {
    super();
    this.#features = features;
  }

  getToggle(name: string): ClientFeature | undefined {
    return this.#features.current.get(name);
  }

  getToggles(): ClientFeature[] {
    return [...this.#features.current.values()];
  }

  getTogglesWithSegmentData(): ClientFeature[] {
    return this.getToggles();
  }

  getSegment(): undefined {
    return undefined;
  }

  start(): Promise<void> {
    this.emit("ready");
    return Promise.resolve();
  }

  stop(): void {
    this.removeAllListeners();
  }
}

/** Throws `FLAGS_PACKAGE_MISSING` when unleash-client is not installed. */
export async function startEvaluator(features: FeatureSet): Promise<Evaluator> {
  const { Unleash, InMemStorageProvider } = await loadSdk();
  const repository = new HeldFeatures(features);
  const unleash = new Unleash({
    appName: "changeover",
    // The SDK insists on an address; with a repository of our own it is never used.
    url: "http://127.0.0.1:9/api",
    refreshInterval: 0,
    disableMetrics: true,
    disableAutoStart: true,
    skipInstanceCountWarning: true,
    storageProvider: new InMemStorageProvider(),
    repository: repository as unknown as NonNullable<
      ConstructorParameters<typeof Unleash>[0]["repository"]
    >,
  });
  // Without a listener the SDK prints to the console.
  unleash.on("error", () => undefined);
  unleash.on("warn", () => undefined);
  await unleash.start();
  return {
    isEnabled: (feature, key) =>
      unleash.isEnabled(feature, { properties: { [routingKeyProperty]: key } }, false),
    close: () => {
      unleash.destroy();
      // `destroy` removes the SDK's own listeners; a late error without one would end the process.
      repository.on("error", () => undefined);
    },
  };
}
