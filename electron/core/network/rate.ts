/** Counts per source and second; bounded, because source addresses of datagrams and peer ids are free to make. */
export class SourceRate {
  readonly #perSecond: number;
  readonly #maxSources: number;
  readonly #counts = new Map<string, number>();
  #second = 0;

  constructor(perSecond: number, maxSources: number) {
    this.#perSecond = perSecond;
    this.#maxSources = maxSources;
  }

  allows(source: string, nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#counts.clear();
    }
    const count = this.#counts.get(source) ?? 0;
    if (count >= this.#perSecond) return false;
    // More sources in one second than there can be honest ones: a flood of forged ones; the rest of the second is skipped.
    if (count === 0 && this.#counts.size >= this.#maxSources) return false;
    this.#counts.set(source, count + 1);
    return true;
  }
}
