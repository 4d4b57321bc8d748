import { describeHost, listGpus } from '#core/gpu/inventory.ts';
import type { Gpu } from '#shared/model/gpu.ts';
import { formatBytes } from '#shared/text/format.ts';
import { table } from '../terminal/table.ts';
import type { CommandContext } from '../program.ts';
import { findBackends } from './parts/backends.ts';

/** Every GPU with what is known of it, then every backend: usable, or why not and what to do. */
export async function gpus({ output }: CommandContext): Promise<void> {
  const [found, backends] = await Promise.all([listGpus(), findBackends()]);
  const host = describeHost();
  output.result({ host, gpus: found, backends }, () =>
    [
      found.length === 0
        ? 'No GPU was found. Hearth can practise on the processor; to earn for real, add a GPU or install its driver.'
        : table(['GPU', 'kind', 'memory', 'driver', 'now'], found.map(row)),
      '',
      `Processor  ${host.cpu}, ${host.cores} cores, ${formatBytes(host.memoryBytes)}`,
      '',
      table(
        ['backend', 'usable', 'why, and what to do'],
        backends.map((backend) => [
          backend.name,
          backend.usable ? 'yes' : 'no',
          [backend.reason, backend.remedy].filter((part) => part !== undefined && part !== '').join(' '),
        ]),
      ),
    ].join('\n'),
  );
}

function row(gpu: Gpu): readonly string[] {
  const now = [
    gpu.loadPercent === undefined ? undefined : `${gpu.loadPercent} %`,
    gpu.temperatureC === undefined ? undefined : `${gpu.temperatureC} °C`,
  ].filter((part) => part !== undefined);
  return [
    gpu.model.startsWith(gpu.vendor) ? gpu.model : `${gpu.vendor} ${gpu.model}`,
    gpu.kind,
    gpu.vramBytes === undefined ? 'unknown' : formatBytes(gpu.vramBytes),
    gpu.driver ?? 'unknown',
    now.length === 0 ? 'unknown' : now.join(', '),
  ];
}
