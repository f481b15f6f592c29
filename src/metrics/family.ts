import type { MetricDefinition } from "./metric.ts";

/** Label values by label name. */
export type Labels = Readonly<Record<string, string>>;

/** One sample in the shape prom-client's registry prints. */
export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  /** Labels that many samples have in common. */
  readonly sharedLabels?: Labels;
  readonly value: number;
  readonly metricName?: string;
  readonly exemplar?: Exemplar;
}

/** One call behind a bucket of a histogram, in the shape prom-client's registry prints. */
export interface Exemplar {
  readonly labelSet: Labels;
  readonly value: number;
  /** Seconds since the Unix epoch. */
  readonly timestamp: number;
}

type Labelling = (
  labels: Labels,
  le?: { readonly le: string | number },
) => Pick<Sample, "labels" | "sharedLabels">;

/** What prom-client's registry asks a metric for. */
export interface FamilySnapshot {
  readonly name: string;
  readonly help: string;
  readonly type: MetricDefinition["type"];
  readonly aggregator: "sum" | "max" | "first";
  readonly values: readonly Sample[];
}

/**
 * All series of one metric for one operation (or for the process), as one array of plain numbers: writing
 * costs an addition, and every combination of labels exists, at 0, from the start.
 */
export class Cells {
  readonly labels: readonly Labels[];
  /** One number per combination; for a histogram its buckets, one for everything above, and the sum. */
  readonly numbers: Float64Array;
  readonly #buckets: readonly number[];
  /** Numbers per combination. */
  readonly width: number;
  /** The last call that fell into a bucket, by the bucket's place in `numbers`; null until one is kept. */
  exemplars: Map<number, Exemplar> | null = null;

  constructor(labels: readonly Labels[], buckets: readonly number[] | undefined) {
    this.labels = labels;
    this.#buckets = buckets ?? [];
    this.width = buckets === undefined ? 1 : buckets.length + 2;
    this.numbers = new Float64Array(labels.length * this.width);
  }

  /** Adds to a counter. The index is that of the combination, as `Family.indexOf` gives it. */
  add(index: number, amount: number): void {
    this.numbers[index] = (this.numbers[index] ?? 0) + amount;
  }

  /** Sets a gauge. */
  set(index: number, value: number): void {
    this.numbers[index] = value;
  }

  /**
   * Puts a value into a histogram; what is not a number of at least 0 counts as 0. Returns the place of
   * its bucket, for `keepExemplar`.
   */
  observe(index: number, value: number): number {
    const seen = value > 0 && value < Number.POSITIVE_INFINITY ? value : 0;
    const { numbers, width } = this;
    const buckets = this.#buckets;
    const last = width - 2;
    let bucket = 0;
    while (bucket < last && seen > (buckets[bucket] ?? 0)) bucket += 1;
    const start = index * width;
    const place = start + bucket;
    const sum = start + width - 1;
    numbers[place] = (numbers[place] ?? 0) + 1;
    numbers[sum] = (numbers[sum] ?? 0) + seen;
    return place;
  }

  /** Remembers one call behind a bucket, instead of the one before. */
  keepExemplar(place: number, exemplar: Exemplar): void {
    this.exemplars ??= new Map();
    this.exemplars.set(place, exemplar);
  }
}

/**
 * A metric that prom-client's registry can print: it has what the registry calls (`name`, `get()`, …) and
 * none of the hashing of labels on every write.
 */
export class Family {
  readonly name: string;
  readonly help: string;
  readonly type: MetricDefinition["type"];
  /** How prom-client adds up the metric over a cluster's workers. */
  readonly aggregator: "sum" | "max" | "first";
  readonly #definition: MetricDefinition;
  readonly #cells: Cells[] = [];
  readonly #bounds: readonly { readonly le: string | number }[];
  readonly #refresh: () => void;

  /** `refresh` is called before every reading, to bring gauges up to date. */
  constructor(definition: MetricDefinition, refresh: () => void = () => undefined) {
    this.name = definition.name;
    this.help = definition.help;
    this.type = definition.type;
    const isState = definition.type === "gauge" && !definition.name.includes("in_flight");
    this.aggregator = isState ? "max" : "sum";
    this.#definition = definition;
    this.#bounds = [...(definition.buckets ?? []), "+Inf"].map((le) => ({ le }));
    this.#refresh = refresh;
  }

  /** Adds the series of one operation, or, without a name, those of the process. */
  addCells(fixed: Labels): Cells {
    let combinations: Labels[] = [fixed];
    for (const [name, values] of Object.entries(this.#definition.labels)) {
      if (name in fixed) continue;
      combinations = combinations.flatMap((labels) =>
        values.map((value) => ({ ...labels, [name]: value })),
      );
    }
    const cells = new Cells(combinations, this.#definition.buckets);
    this.#cells.push(cells);
    return cells;
  }

  /** Forgets all series, and begins anew: for a label that has one value at a time. */
  replaceCells(fixed: Labels): Cells {
    this.#cells.length = 0;
    return this.addCells(fixed);
  }

  /** For prom-client's registry: the samples as data. */
  get(): Promise<FamilySnapshot> {
    return Promise.resolve(this.#snapshot((labels, le) => ({ labels: { ...labels, ...le } })));
  }

  /** For prom-client's registry: to be printed. It prints each object of shared labels once only. */
  getForPromString(): Promise<FamilySnapshot> {
    return Promise.resolve(
      this.#snapshot((labels, le) => ({ sharedLabels: labels, labels: le ?? {} })),
    );
  }

  /** For prom-client's registry: everything back to 0. */
  reset(): void {
    for (const cells of this.#cells) {
      cells.numbers.fill(0);
      cells.exemplars = null;
    }
  }

  #snapshot(labelled: Labelling): FamilySnapshot {
    this.#refresh();
    const { name, help, type, aggregator } = this;
    const values: Sample[] = [];
    for (const cells of this.#cells) {
      for (const [index, labels] of cells.labels.entries()) {
        if (type === "histogram") this.#addHistogram(values, cells, index, labelled);
        else values.push({ ...labelled(labels), value: cells.numbers[index] ?? 0 });
      }
    }
    return { name, help, type, aggregator, values };
  }

  #addHistogram(values: Sample[], cells: Cells, index: number, labelled: Labelling): void {
    const labels = cells.labels[index] ?? {};
    const start = index * cells.width;
    let value = 0;
    for (const [bucket, le] of this.#bounds.entries()) {
      value += cells.numbers[start + bucket] ?? 0;
      const sample = { ...labelled(labels, le), value, metricName: `${this.name}_bucket` };
      const exemplar = cells.exemplars?.get(start + bucket);
      values.push(exemplar === undefined ? sample : { ...sample, exemplar });
    }
    const sum = cells.numbers[start + cells.width - 1] ?? 0;
    values.push({ ...labelled(labels), value: sum, metricName: `${this.name}_sum` });
    values.push({ ...labelled(labels), value, metricName: `${this.name}_count` });
  }
}

/**
 * A family as the OpenMetrics format prints it: there a counter's own name has no `_total`, and the
 * registry, which adds it to the samples, changes the name of what it is given.
 */
export class OpenMetricsFamily {
  name: string;
  readonly #family: Family;

  constructor(family: Family) {
    this.#family = family;
    this.name = family.name.replace(/_total$/, "");
  }

  /** For prom-client's registry. */
  async getForPromString(): Promise<FamilySnapshot> {
    return { ...(await this.#family.getForPromString()), name: this.name };
  }
}
