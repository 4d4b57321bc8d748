import type { BackendProbe } from '../compute/backends.ts';
import type { Placement } from '../compute/port.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';

export interface Device {
  readonly placement: Placement;
  /** For people. */
  readonly name: string;
}

export type PlacementError = AppError<'gpu.backend_unavailable'>;

/** Best first. A GPU interface that is really the processor in disguise is slower than the processor itself. */
const PREFERENCE = ['cuda', 'webgpu', 'cpu'] as const;
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render/i;

/** Where shards run: what the owner chose if it works, else the best that does. */
export function choosePlacement(
  probes: readonly BackendProbe[],
  wanted: 'auto' | Placement['backend'],
  device: number,
  processor: string,
): Result<Device, PlacementError> {
  if (wanted !== 'auto') {
    const probe = probes.find(({ placement }) => placement.backend === wanted && placement.device === device);
    if (probe?.available === true) return ok(describe(probe, processor));
    const reason = probe === undefined ? `There is no ${wanted} device number ${device}.` : probe.reason;
    return err(
      appError('gpu.backend_unavailable', `The setting asks for ${wanted}, which does not work here. ${reason}`, {
        remedy: 'See hearth gpus, or let Hearth choose: hearth settings set compute.backend auto',
        data: { backend: wanted, device },
      }),
    );
  }
  for (const backend of PREFERENCE) {
    const probe = probes.find(
      (candidate) => candidate.placement.backend === backend && candidate.available && !isSoftware(candidate),
    );
    if (probe !== undefined) return ok(describe(probe, processor));
  }
  return err(
    appError('gpu.backend_unavailable', 'Nothing on this machine can run shards.', { remedy: 'See: hearth doctor' }),
  );
}

function describe(probe: BackendProbe, processor: string): Device {
  const adapter = probe.available ? probe.adapter : undefined;
  const words = adapter === undefined ? undefined : [adapter.device, adapter.description].find((text) => text !== '');
  return {
    placement: probe.placement,
    name: probe.placement.backend === 'cpu' ? processor : (words ?? probe.placement.backend),
  };
}

function isSoftware(probe: BackendProbe): boolean {
  const adapter = probe.available ? probe.adapter : undefined;
  return adapter !== undefined && SOFTWARE.test(`${adapter.vendor} ${adapter.device} ${adapter.description}`);
}
