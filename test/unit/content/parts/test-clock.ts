import type { Clock } from '#core/content/clock.ts';

/** Time that passes only when told to. */
export class TestClock implements Clock {
  #now = 1_000_000;
  #sleepers: { readonly at: number; readonly wake: () => void }[] = [];
  #onSleep: (() => void)[] = [];

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#sleepers.push({ at: this.#now + ms, wake: resolve });
      signal.addEventListener('abort', () => resolve(), { once: true });
      for (const tell of this.#onSleep.splice(0)) tell();
    });
  }

  /** Resolves at the next sleep that begins. */
  nextSleep(): Promise<void> {
    return new Promise((resolve) => {
      this.#onSleep.push(resolve);
    });
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = this.#sleepers.filter(({ at }) => at <= this.#now);
    this.#sleepers = this.#sleepers.filter(({ at }) => at > this.#now);
    for (const { wake } of due) wake();
  }
}
