/** What the WebGPU implementation says about the GPU it would use; strings of the driver's, to be parsed by the reader. */
export interface AdapterAnswer {
  readonly found: boolean;
  readonly vendor?: string;
  readonly architecture?: string;
  readonly device?: string;
  readonly description?: string;
  readonly reason?: string;
}

/** Asks Dawn for its default adapter. In a process of its own: drivers crash, and two Dawns in one process do too. */
export async function describeAdapter(): Promise<AdapterAnswer> {
  try {
    const { create } = await import('webgpu');
    const adapter = await create([]).requestAdapter();
    if (adapter === null) return { found: false, reason: 'no adapter' };
    const { vendor, architecture, device, description } = adapter.info;
    return { found: true, vendor, architecture, device, description };
  } catch (fault) {
    return { found: false, reason: fault instanceof Error ? fault.message.slice(0, 500) : 'unknown' };
  }
}
