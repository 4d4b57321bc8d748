import { describe, expect, it } from 'vitest';
import { ModelRegistry, fitsDims, type KnownModel } from '#core/compute/models.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { doublingModel, endlessModel, sourceOf } from '#support/compute-models.ts';
import { f32, f64 } from '#support/tensors.ts';

async function doubling(): Promise<KnownModel> {
  const found = await new ModelRegistry({}).find(sourceOf(doublingModel()));
  if (!found.ok) throw new Error(found.error.message);
  return found.value.model;
}

describe('ModelRegistry', () => {
  it('refuses what admission refuses, with admission’s own code and remedy', async () => {
    const found = await new ModelRegistry({}).find(sourceOf(endlessModel()));
    expect(found).toMatchObject({
      ok: false,
      error: {
        code: 'compute.model_refused',
        data: { admission: 'admission.control_flow' },
        remedy: expect.any(String) as unknown,
      },
    });
  });

  it('refuses what goes beyond the limits it was given', async () => {
    const found = await new ModelRegistry({ nodes: 0 }).find(sourceOf(doublingModel()));
    expect(found).toMatchObject({ error: { data: { admission: 'admission.too_many_nodes' } } });
  });

  it('judges the same bytes once, whether they pass or not', async () => {
    const registry = new ModelRegistry({});
    let reads = 0;
    const counted = (bytes: Uint8Array) => ({ ...sourceOf(bytes), read: async () => ((reads += 1), bytes) });
    for (let i = 0; i < 3; i += 1) {
      expect((await registry.find(counted(doublingModel()))).ok).toBe(true);
      expect((await registry.find(counted(endlessModel()))).ok).toBe(false);
    }
    expect(reads).toBe(2);
  });

  it('does not remember bytes that were not the model’s', async () => {
    const registry = new ModelRegistry({});
    const good = sourceOf(doublingModel());
    const bad = { ...good, read: async () => endlessModel() };
    expect(await registry.find(bad)).toMatchObject({ error: { code: 'compute.model_invalid' } });
    expect((await registry.find(good)).ok).toBe(true);
  });

  it('says that a model cannot be read', async () => {
    const gone = { ...sourceOf(doublingModel()), read: () => Promise.reject(new Error('ENOENT')) };
    expect(await new ModelRegistry({}).find(gone)).toMatchObject({
      error: { code: 'compute.model_invalid', data: { reason: 'ENOENT' } },
    });
  });
});

describe('checkInputs', () => {
  const MAX = LIMITS.shard.outputBytes;

  it('lets inputs through that fit', async () => {
    expect((await doubling()).checkInputs({ x: f32([1, 2]) }, MAX)).toBeUndefined();
  });

  it.each([
    ['another type', { x: f64([1]) }],
    ['another rank', { x: f32([1], [1, 1]) }],
    ['a negative size', { x: f32([1], [-1]) }],
    ['a size that is no integer', { x: f32([1], [0.5]) }],
    ['bytes that do not fill the shape', { x: f32([1, 2], [3]) }],
    ['a missing input', {}],
    ['an input of a prototype’s name', { toString: f32([1]) }],
    ['one input too many', { x: f32([1]), y: f32([1]) }],
  ])('refuses %s', async (_, inputs) => {
    expect((await doubling()).checkInputs(inputs, MAX)).toMatchObject({ code: 'compute.input_invalid' });
  });

  it('refuses a shard whose output will be too large, before it runs', async () => {
    const model = await doubling();
    expect(model.checkInputs({ x: f32([1, 2, 3]) }, 8)).toMatchObject({
      code: 'compute.output_too_large',
      data: { maxBytes: 8, bytes: 12 },
    });
    expect(model.checkInputs({ x: f32([1, 2]) }, 8)).toBeUndefined();
  });

  it('refuses a run whose sizes go beyond what the model was admitted for', async () => {
    const found = await new ModelRegistry({ tensorBytes: 64 }).find(sourceOf(doublingModel()));
    if (!found.ok) throw new Error(found.error.message);
    const large = { x: f32(Array.from({ length: 17 }, () => 0)) };
    expect(found.value.model.checkInputs(large, MAX)).toMatchObject({ code: 'compute.model_refused' });
  });
});

describe('fitsDims', () => {
  it('takes any size where the model leaves it open, and the very one elsewhere', () => {
    expect(fitsDims([5, 3], [-1, 3])).toBe(true);
    expect(fitsDims([5, 4], [-1, 3])).toBe(false);
    expect(fitsDims([5], [-1, 3])).toBe(false);
    expect(fitsDims([], [])).toBe(true);
    expect(fitsDims([-1], [-1])).toBe(false);
  });
});
