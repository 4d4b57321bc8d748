import { createCompute } from '#core/compute/create-compute.ts';
import { executorFiles } from './layout.ts';

export interface BackendRow {
  readonly name: string;
  readonly usable: boolean;
  readonly reason: string;
  readonly remedy: string | undefined;
}

/** What can be done about an absent backend. The reasons themselves come from the probes. */
const REMEDIES: Readonly<Record<string, string>> = {
  webgpu: 'Install the newest driver of your GPU (on Linux its Vulkan driver as well).',
  cuda: 'Install the NVIDIA driver, and fetch the CUDA libraries beside the runtime (README, CUDA).',
};

/** Every backend of this machine: usable, or why not and what to do. */
export async function findBackends(): Promise<readonly BackendRow[]> {
  const compute = createCompute(executorFiles());
  try {
    const probes = await compute.backends();
    return probes.map((probe) => {
      const { backend, device } = probe.placement;
      const name = device === 0 ? backend : `${backend}:${device}`;
      if (!probe.available) return { name, usable: false, reason: probe.reason, remedy: REMEDIES[backend] };
      const adapter = probe.adapter;
      const reason =
        adapter === undefined
          ? backend === 'cpu'
            ? 'For practice and for checking; GPUs earn far more.'
            : ''
          : [adapter.device, adapter.description].filter((part) => part !== '').join(', ');
      return { name, usable: true, reason, remedy: undefined };
    });
  } finally {
    await compute.stop();
  }
}
