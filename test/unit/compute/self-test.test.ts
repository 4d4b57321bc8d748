import { describe, expect, it } from 'vitest';
import type { ModelInfo } from '#core/compute/port.ts';
import { sampleInputs, selfTest } from '#core/compute/self-test.ts';
import { computeErrors } from '#core/compute/errors.ts';
import { DTYPES } from '#shared/model/tensor.ts';
import { err, ok } from '#shared/result.ts';
import { sha256Hex } from '#shared/units.ts';
import { f32, float32Values } from '#support/tensors.ts';

const GPU = { backend: 'webgpu', device: 0 } as const;
const info: ModelInfo = {
  digest: sha256Hex('0'.repeat(64)),
  inputs: [{ name: 'x', dtype: 'float32', dims: [-1, 3] }],
  outputs: [{ name: 'y', dtype: 'float32', dims: [-1, 3] }],
  peakBytes: 1,
};

describe('selfTest', () => {
  it('gives both devices the same inputs, and passes when they agree within the tolerance', async () => {
    const seen: unknown[] = [];
    const verdict = await selfTest(info, GPU, 1e-4, async ({ backend }, inputs) => {
      seen.push(inputs);
      return ok({ y: f32([1, 2, backend === 'cpu' ? 3 : 3.0001]) });
    });
    expect(verdict).toEqual({ ok: true, value: undefined });
    expect(seen[0]).toBe(seen[1]);
  });

  it('refuses the device when they do not, and says by how much', async () => {
    const verdict = await selfTest(info, GPU, 1e-4, async ({ backend }) => ok({ y: f32([backend === 'cpu' ? 1 : 2]) }));
    expect(verdict).toMatchObject({
      ok: false,
      error: {
        code: 'compute.backend_unavailable',
        data: { backend: 'webgpu', reason: 'self-test', worst: 0.5, tolerance: 1e-4 },
      },
    });
  });

  it('refuses the device when it gives NaN', async () => {
    const verdict = await selfTest(info, GPU, 1, async ({ backend }) => ok({ y: f32([backend === 'cpu' ? 1 : NaN]) }));
    expect(verdict).toMatchObject({ error: { data: { worst: 'infinite' } } });
  });

  it('passes on what went wrong on either, the processor’s word first', async () => {
    const failing = (which: string) =>
      selfTest(info, GPU, 1, async ({ backend }) =>
        [backend, 'both'].includes(which) ? err(computeErrors.runFailed(backend)) : ok({ y: f32([1]) }),
      );
    expect(await failing('webgpu')).toMatchObject({ error: { data: { reason: 'webgpu' } } });
    expect(await failing('both')).toMatchObject({ error: { data: { reason: 'cpu' } } });
  });
});

describe('sampleInputs', () => {
  it('is the same for the same model, other for another, with open sizes 1', () => {
    const x = sampleInputs(info)['x'];
    expect(x?.dims).toEqual([1, 3]);
    expect(sampleInputs(info)).toEqual({ x });
    expect(sampleInputs({ ...info, digest: sha256Hex('1'.repeat(64)) })).not.toEqual({ x });
    expect(float32Values(x).every((value) => value >= -1 && value < 1 && value !== 0)).toBe(true);
  });

  it.each(DTYPES)('fills %s with small numbers that serve as indices', (dtype) => {
    const { x } = sampleInputs({ ...info, inputs: [{ name: 'x', dtype, dims: [64] }] });
    const width = (x?.bytes.byteLength ?? 0) / 64;
    expect(width).toBeGreaterThan(0);
    if (dtype.startsWith('float')) return;
    const wide = x?.bytes.filter((byte, at) => (at % width === 0 ? byte > 1 : byte !== 0));
    expect(wide).toHaveLength(0);
  });
});
