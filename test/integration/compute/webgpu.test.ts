import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import path from 'node:path';
import { createCompute, type ComputePool } from '#core/compute/create-compute.ts';
import { compareOutputs } from '#shared/model/compare-tensors.ts';
import { executorFiles, repositoryRoot, sourceOf, doublingModel } from '#support/compute-models.ts';
import { f32, float32Values } from '#support/tensors.ts';
import { model, node, valueInfo } from '#support/onnx-models.ts';

const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const WEBGPU = { backend: 'webgpu', device: 0 } as const;
const CPU = { backend: 'cpu', device: 0 } as const;
const mnist = path.resolve(repositoryRoot, '../shared/data/models/mnist.onnx');

describe('WebGPU on a software Vulkan', () => {
  let compute: ComputePool;

  beforeAll(() => {
    vi.stubEnv('VK_ICD_FILENAMES', SWIFTSHADER);
    compute = createCompute({ ...executorFiles, threads: 1 });
  });
  afterAll(async () => {
    await compute.stop();
    vi.unstubAllEnvs();
  });

  it.skipIf(!existsSync(SWIFTSHADER))(
    'is found, with its adapter’s name (needs Debian’s chromium and libvulkan1)',
    async () => {
      const backends = await compute.backends();
      const webgpu = backends.find(({ placement }) => placement.backend === 'webgpu');
      expect(webgpu).toMatchObject({ available: true, adapter: { vendor: 'google', architecture: 'swiftshader' } });
    },
  );

  it.skipIf(!existsSync(SWIFTSHADER))(
    'passes the self-test and doubles numbers (needs Debian’s chromium and libvulkan1)',
    async () => {
      const answer = await compute.run(sourceOf(doublingModel()), [{ x: f32([1, 2]) }], {
        placement: WEBGPU,
        deadlineMs: 60_000,
      });
      const result = answer.ok ? answer.value.results[0] : undefined;
      expect(result?.ok === true && float32Values(result.value['y'])).toEqual([2, 4]);
      const used = compute.status().executors.map(({ placement, pid }) => ({ placement, running: pid !== undefined }));
      // The self-test ran on both.
      expect(used).toEqual(
        expect.arrayContaining([
          { placement: WEBGPU, running: true },
          { placement: CPU, running: true },
        ]),
      );
    },
  );

  it.skipIf(!existsSync(SWIFTSHADER))(
    'refuses a graph with an operator it does not have, rather than run it elsewhere (needs Debian’s chromium)',
    async () => {
      const round = sourceOf(
        model({
          nodes: [node('Round', ['x'], ['y'])],
          inputs: [valueInfo('x', [4, 4])],
          outputs: [valueInfo('y', [4, 4])],
        }),
      );
      expect(await compute.prepare(round, CPU)).toMatchObject({ ok: true });
      expect(await compute.prepare(round, WEBGPU)).toMatchObject({
        ok: false,
        error: { code: 'compute.backend_unavailable', data: { backend: 'webgpu' } },
      });
    },
  );

  it.skipIf(!existsSync(SWIFTSHADER) || !existsSync(mnist))(
    'classifies a digit as the processor does (needs Debian’s chromium and ../shared/data)',
    async () => {
      const source = sourceOf(readFileSync(mnist));
      const batch = [
        {
          Input3: f32(
            Array.from({ length: 784 }, (_, k) => (k * 37) % 255),
            [1, 1, 28, 28],
          ),
        },
      ];
      const [cpu, webgpu] = await Promise.all(
        [CPU, WEBGPU].map((placement) => compute.run(source, batch, { placement, deadlineMs: 60_000 })),
      );
      const outputs = [cpu, webgpu].map((answer) => (answer?.ok === true ? answer.value.results[0] : undefined));
      if (outputs[0]?.ok !== true || outputs[1]?.ok !== true) throw new Error('both must answer');
      expect(compareOutputs(outputs[0].value, outputs[1].value, 1e-5)).toMatchObject({ equal: true });
    },
  );
});

describe('WebGPU without a device', () => {
  it('is unavailable, and says so before any shard runs', async () => {
    vi.stubEnv('VK_ICD_FILENAMES', '/nonexistent/icd.json');
    vi.stubEnv('VK_DRIVER_FILES', '/nonexistent/icd.json');
    const compute = createCompute({ ...executorFiles, threads: 1 });
    try {
      const backends = await compute.backends();
      // A machine with a GPU that ignores both variables has nothing to show here.
      const webgpu = backends.find(({ placement }) => placement.backend === 'webgpu');
      if (webgpu?.available === true) return;
      expect(webgpu?.reason).toContain('no graphics adapter');
      const answer = await compute.prepare(sourceOf(doublingModel()), WEBGPU);
      expect(answer).toMatchObject({ ok: false, error: { code: 'compute.backend_unavailable' } });
    } finally {
      await compute.stop();
      vi.unstubAllEnvs();
    }
  });
});
