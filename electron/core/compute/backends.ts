import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import type { Placement } from './port.ts';
import { tiersOf, type ExecutorFiles, type SandboxTier } from './sandbox/command.ts';
import { runOnce } from './sandbox/probe.ts';

export interface AdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
}

export type BackendProbe =
  | {
      readonly available: true;
      readonly placement: Placement;
      /** The strongest sandbox that the device still works in. */
      readonly tier: SandboxTier;
      readonly adapter?: AdapterInfo;
    }
  | {
      readonly available: false;
      readonly placement: Placement;
      /** A sentence on what is missing. */
      readonly reason: string;
    };

const PROBE_TIMEOUT_MS = 30_000;

const word = z.string().max(256).default('');
const adapterSchema = z.discriminatedUnion('found', [
  z.object({ found: z.literal(true), vendor: word, architecture: word, device: word, description: word }),
  z.object({ found: z.literal(false), reason: z.string().max(500) }),
]);

/**
 * Which placements exist on this machine, and why the others do not. Each GPU interface is asked by a short-lived
 * executor, so that a driver that crashes takes nothing with it. `strongest` is what probeSandbox found.
 */
export async function probeBackends(files: ExecutorFiles, strongest: SandboxTier): Promise<readonly BackendProbe[]> {
  const cpu: BackendProbe = { available: true, placement: { backend: 'cpu', device: 0 }, tier: strongest };
  return [cpu, await probeWebgpu(files, strongest), probeCuda(files, strongest)];
}

/** Tiers from `strongest` down: a driver may need more than the jail shows it. */
function tiersFrom(strongest: SandboxTier): readonly SandboxTier[] {
  const tiers = tiersOf(process.platform);
  return tiers.slice(Math.max(0, tiers.indexOf(strongest)));
}

async function probeWebgpu(files: ExecutorFiles, strongest: SandboxTier): Promise<BackendProbe> {
  const placement: Placement = { backend: 'webgpu', device: 0 };
  const folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-adapter-'));
  let reason = 'WebGPU finds no graphics adapter.';
  try {
    for (const tier of tiersFrom(strongest)) {
      const answer = await runOnce({ tier, files, backend: 'webgpu', args: ['--adapter'], folder }, PROBE_TIMEOUT_MS);
      const parsed = adapterSchema.safeParse(answer.ok ? answer.json : undefined);
      if (parsed.data?.found === true) {
        const { vendor, architecture, device, description } = parsed.data;
        return { available: true, placement, tier, adapter: { vendor, architecture, device, description } };
      }
      reason = `WebGPU finds no graphics adapter (${answer.ok ? (parsed.data?.reason ?? 'no answer') : answer.reason}).`;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return { available: false, placement, reason };
}

const CUDA_PROVIDER: Readonly<Partial<Record<NodeJS.Platform, string>>> = {
  linux: 'libonnxruntime_providers_cuda.so',
};

/** The CUDA provider is no part of the npm package: it is there when the owner fetched it. */
function probeCuda(files: ExecutorFiles, tier: SandboxTier): BackendProbe {
  const placement: Placement = { backend: 'cuda', device: 0 };
  const unavailable = (reason: string): BackendProbe => ({ available: false, placement, reason });
  const library = CUDA_PROVIDER[process.platform];
  if (library === undefined || process.arch !== 'x64') {
    return unavailable('The CUDA libraries exist for Linux on x64 processors only.');
  }
  const runtime = files.readableRoots.find((root) => path.basename(root) === 'onnxruntime-node');
  const file = path.join(runtime ?? '', 'bin/napi-v6/linux/x64', library);
  if (!existsSync(file))
    return unavailable(`The file ${library} is missing beside the runtime; it is fetched separately.`);
  if (!existsSync('/dev/nvidiactl')) return unavailable('There is no NVIDIA driver: /dev/nvidiactl is missing.');
  return { available: true, placement, tier };
}
