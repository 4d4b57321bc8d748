/** Resolves when the user or the system asks this process to end: Ctrl-C, SIGTERM, a closed terminal. */
export function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    // A pending promise alone does not keep a process alive.
    const awake = setInterval(() => {}, 3_600_000);
    const stop = (): void => {
      clearInterval(awake);
      resolve();
    };
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    process.once('SIGHUP', stop);
  });
}
