import { describe, expect, it } from 'vitest';
import { describeHost, listGpus } from '#core/gpu/inventory.ts';
import { GiB } from '#shared/units.ts';

const having =
  (...controllers: unknown[]) =>
  async () => ({ controllers });

describe('the list of GPUs', () => {
  it('is empty, not an error, on a machine without one', async () => {
    expect(await listGpus(having())).toEqual([]);
  });

  it('takes the driver name and its own memory figure over what the bus says', async () => {
    const gpus = await listGpus(
      having({
        vendor: 'NVIDIA Corporation',
        model: 'GA104',
        name: 'NVIDIA GeForce RTX 3070',
        bus: 'PCI',
        pciBus: '00000000:01:00.0',
        vram: 256,
        memoryTotal: 8192,
        driverVersion: '560.35.03',
        temperatureGpu: 41,
        utilizationGpu: 0,
      }),
    );
    expect(gpus).toEqual([
      {
        id: '00000000:01:00.0',
        vendor: 'NVIDIA',
        model: 'NVIDIA GeForce RTX 3070',
        kind: 'discrete',
        vramBytes: 8 * GiB,
        driver: '560.35.03',
        temperatureC: 41,
        loadPercent: 0,
      },
    ]);
  });

  it.each([0, -1, null, undefined, Number.NaN, '8 GB'])('leaves memory out when the driver says %s', async (vram) => {
    const [gpu] = await listGpus(having({ vendor: 'Intel Corporation', model: 'UHD 620', bus: 'Built-In', vram }));
    expect(gpu).toMatchObject({ vendor: 'Intel', kind: 'integrated' });
    expect(gpu).not.toHaveProperty('vramBytes');
  });

  it('tells two cards of one model apart', async () => {
    const card = { vendor: 'AMD', model: 'Radeon RX 6800', bus: 'PCI' };
    const ids = (await listGpus(having(card, card))).map((gpu) => gpu.id);
    expect(new Set(ids).size).toBe(2);
  });

  it('survives a probe that returns something else', async () => {
    expect(await listGpus(having(null, 7, 'x', {}))).toHaveLength(1);
  });

  it('names the machine beneath', () => {
    const host = describeHost();
    expect(host.cores).toBeGreaterThan(0);
    expect(host.memoryBytes).toBeGreaterThan(GiB);
  });
});
