import { describe, expect, it } from 'vitest';
import type { BackendProbe } from '#core/compute/backends.ts';
import { choosePlacement } from '#core/gpu/choose-placement.ts';

const adapter = { vendor: 'acme', architecture: '', device: 'Rocket 9', description: '' };
const up = (backend: 'cpu' | 'webgpu' | 'cuda', device = '', number = 0): BackendProbe => ({
  available: true,
  placement: { backend, device: number },
  tier: 'jail',
  ...(device === '' ? {} : { adapter: { ...adapter, device } }),
});
const down: BackendProbe = { available: false, placement: { backend: 'cuda', device: 0 }, reason: 'No driver.' };

const choose = (probes: readonly BackendProbe[], wanted: 'auto' | 'cpu' | 'webgpu' | 'cuda' = 'auto', device = 0) =>
  choosePlacement(probes, wanted, device, 'Some CPU');

describe('where shards run', () => {
  it('is the best that works, when Hearth may choose', () => {
    expect(choose([up('cpu'), up('webgpu', 'Rocket 9'), down])).toMatchObject({
      ok: true,
      value: { placement: { backend: 'webgpu' }, name: 'Rocket 9' },
    });
    expect(choose([up('cpu'), down])).toMatchObject({ ok: true, value: { name: 'Some CPU' } });
  });

  it('is never a processor that passes for a GPU, unless its owner says so', () => {
    const probes = [up('webgpu', 'llvmpipe (LLVM 15)'), up('cpu')];
    expect(choose(probes)).toMatchObject({ ok: true, value: { placement: { backend: 'cpu' } } });
    expect(choose(probes, 'webgpu')).toMatchObject({ ok: true, value: { placement: { backend: 'webgpu' } } });
  });

  it('is what its owner chose or nothing, with the reason', () => {
    expect(choose([up('webgpu', 'a'), up('webgpu', 'b', 1)], 'webgpu', 1)).toMatchObject({
      ok: true,
      value: { name: 'b' },
    });
    for (const [wanted, device, reason] of [
      ['cuda', 0, 'No driver.'],
      ['webgpu', 3, 'number 3'],
    ] as const) {
      const chosen = choose([up('cpu'), down], wanted, device);
      expect(chosen).toMatchObject({ ok: false, error: { code: 'gpu.backend_unavailable' } });
      expect(JSON.stringify(chosen)).toContain(reason);
    }
    expect(choose([down])).toMatchObject({ ok: false });
  });
});
