/** One line of the benchmark's table. Ratios compare two figures of one run on one machine. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** For a reader, not for an assertion: '>= 0.95', '< 200'. */
  readonly goal?: string;
}

/** Each test/perf/<subject>.bench.ts exports `measure`; bench.ts runs them all and prints the table. */
export type Measure = (options: { readonly quick: boolean }) => Promise<readonly Row[]>;
