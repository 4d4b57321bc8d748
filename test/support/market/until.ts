/** Waits for something that other code will bring about; fails loudly when it does not. */
export async function until(happened: () => boolean, timeoutMs = 8000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!happened()) {
    if (performance.now() > deadline) throw new Error(`did not happen within ${timeoutMs} ms: ${happened.toString()}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}
