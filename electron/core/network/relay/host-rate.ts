/** Counts per host and second; bounded, because source addresses of datagrams are free to forge. */
export class HostRate {
  readonly #perSecond: number;
  readonly #maxHosts: number;
  readonly #counts = new Map<string, number>();
  #second = 0;

  constructor(perSecond: number, maxHosts: number) {
    this.#perSecond = perSecond;
    this.#maxHosts = maxHosts;
  }

  allows(host: string, nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#counts.clear();
    }
    const count = this.#counts.get(host) ?? 0;
    if (count >= this.#perSecond) return false;
    // More hosts in one second than a relay serves: a flood of forged ones; the rest of the second is skipped.
    if (count === 0 && this.#counts.size >= this.#maxHosts) return false;
    this.#counts.set(host, count + 1);
    return true;
  }
}
