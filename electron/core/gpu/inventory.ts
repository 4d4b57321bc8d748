import { arch, cpus, platform, totalmem } from 'node:os';
import { z } from 'zod';
import type { Gpu, Host } from '#shared/model/gpu.ts';
import { MiB } from '#shared/units.ts';

/**
 * One display controller as systeminformation reports it. Parsed, not trusted: fields are missing, null, zero or of
 * another type from one driver to the next.
 */
const controllerSchema = z.object({
  vendor: z.string().catch(''),
  model: z.string().catch(''),
  name: z.string().optional().catch(undefined),
  bus: z.string().catch(''),
  busAddress: z.string().optional().catch(undefined),
  pciBus: z.string().optional().catch(undefined),
  vram: z.number().nullish().catch(undefined),
  vramDynamic: z.boolean().catch(false),
  memoryTotal: z.number().optional().catch(undefined),
  driverVersion: z.string().optional().catch(undefined),
  temperatureGpu: z.number().optional().catch(undefined),
  utilizationGpu: z.number().optional().catch(undefined),
});
type Controller = z.infer<typeof controllerSchema>;

/** Where the list of display controllers comes from; tests give their own. */
export type GraphicsSource = () => Promise<{ readonly controllers: readonly unknown[] }>;

const fromSystem: GraphicsSource = async () => {
  // 4 MB of probes for every platform: loaded when somebody asks for GPUs, not with the agent.
  const { graphics } = await import('systeminformation');
  return graphics();
};

/** Every GPU of this machine. An empty list is an answer, not an error. */
export async function listGpus(source: GraphicsSource = fromSystem): Promise<readonly Gpu[]> {
  const { controllers } = await source();
  const seen = new Map<string, number>();
  return controllers.flatMap((raw) => {
    const parsed = controllerSchema.safeParse(raw);
    if (!parsed.success) return [];
    const gpu = toGpu(parsed.data);
    const twins = seen.get(gpu.id) ?? 0;
    seen.set(gpu.id, twins + 1);
    return [twins === 0 ? gpu : { ...gpu, id: `${gpu.id}#${twins + 1}` }];
  });
}

function toGpu(controller: Controller): Gpu {
  const model = controller.name ?? controller.model;
  const vramMiB = positive(controller.memoryTotal) ?? positive(controller.vram);
  const driver = controller.driverVersion?.trim();
  const temperature = positive(controller.temperatureGpu);
  const load = controller.utilizationGpu;
  return {
    id: controller.pciBus ?? controller.busAddress ?? `${controller.vendor} ${model}`.trim(),
    vendor: shortVendor(controller.vendor),
    model: model === '' ? 'unknown model' : model,
    kind: kindOf(controller),
    ...(vramMiB === undefined ? {} : { vramBytes: vramMiB * MiB }),
    ...(driver === undefined || driver === '' ? {} : { driver }),
    ...(temperature === undefined ? {} : { temperatureC: temperature }),
    ...(load === undefined || load < 0 || load > 100 ? {} : { loadPercent: load }),
  };
}

/** Drivers say 0, -1 or null for "I do not know". */
function positive(value: number | null | undefined): number | undefined {
  return value !== null && value !== undefined && Number.isFinite(value) && value > 0 ? value : undefined;
}

function shortVendor(vendor: string): string {
  if (/nvidia/i.test(vendor)) return 'NVIDIA';
  if (/\b(amd|ati|advanced micro)\b/i.test(vendor)) return 'AMD';
  if (/intel/i.test(vendor)) return 'Intel';
  if (/apple/i.test(vendor)) return 'Apple';
  return vendor === '' ? 'unknown vendor' : vendor;
}

function kindOf(controller: Controller): Gpu['kind'] {
  const text = `${controller.vendor} ${controller.model}`;
  if (/virtio|vmware|qxl|bochs|cirrus|hyper-v|red hat|virtualbox|aspeed|matrox/i.test(text)) return 'virtual';
  if (/built-?in|onboard/i.test(controller.bus) || controller.vramDynamic) return 'integrated';
  if (/nvidia|geforce|radeon (rx|pro|vii)|\barc\b/i.test(text)) return 'discrete';
  if (/intel|apple/i.test(text)) return 'integrated';
  return 'unknown';
}

export function describeHost(): Host {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown processor',
    cores: Math.max(1, processors.length),
    memoryBytes: totalmem(),
    platform: `${platform()}-${arch()}`,
  };
}
