const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface StopSignal {
  /** Resolves when the user or the system asks this process to end: Ctrl-C, SIGTERM, a closed terminal. */
  readonly asked: Promise<void>;
  /** The program ends by itself after all: lets go of the process. */
  forget(): void;
}

export function untilStopped(): StopSignal {
  const asked = Promise.withResolvers<void>();
  // A pending promise alone does not keep a process alive.
  const awake = setInterval(() => {}, 3_600_000);
  const stop = (): void => {
    clearInterval(awake);
    asked.resolve();
  };
  for (const signal of SIGNALS) process.on(signal, stop);
  return {
    asked: asked.promise,
    forget: () => {
      clearInterval(awake);
      for (const signal of SIGNALS) process.off(signal, stop);
    },
  };
}
