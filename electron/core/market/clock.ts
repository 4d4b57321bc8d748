import { setTimeout as delay } from 'node:timers/promises';

/** Time as the market sees it; tests bring their own. */
export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Resolves after `ms`, or at once when the signal aborts. Never rejects, keeps no process alive. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    // The one way it rejects is the abort, which is an answer here.
    await delay(ms, undefined, { signal, ref: false }).catch(() => undefined);
  },
};
