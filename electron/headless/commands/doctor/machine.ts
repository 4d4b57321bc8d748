import { existsSync } from 'node:fs';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describeHost, listGpus } from '#core/gpu/inventory.ts';
import type { Paths } from '#core/settings/paths.ts';
import type { SettingsError } from '#core/settings/store.ts';
import type { Settings } from '#shared/model/settings.ts';
import type { Result } from '#shared/result.ts';
import { formatBytes } from '#shared/text/format.ts';
import { GiB } from '#shared/units.ts';
import { askAgent } from '../../control/client.ts';
import { walletFile } from '../parts/purse.ts';
import type { Finding } from './finding.ts';

const LITTLE_SPACE_BYTES = 5 * GiB;

export async function checkMachine(
  paths: Paths,
  settings: Result<Settings, SettingsError>,
): Promise<readonly Finding[]> {
  return [
    checkSettings(settings),
    await checkDisk(paths),
    ...(await checkGpus()),
    checkWallet(paths, settings.ok ? settings.value.network : 'practice'),
    await checkAgent(paths),
  ];
}

function checkSettings(settings: Result<Settings, SettingsError>): Finding {
  if (settings.ok) return { about: 'Settings', state: 'ok', says: 'They are valid.' };
  const { message, remedy } = settings.error;
  return { about: 'Settings', state: 'bad', says: message, ...(remedy === undefined ? {} : { remedy }) };
}

async function checkDisk(paths: Paths): Promise<Finding> {
  const about = 'Disk';
  try {
    await mkdir(paths.data, { recursive: true, mode: 0o700 });
    const probe = path.join(paths.data, `.doctor-${process.pid}`);
    await writeFile(probe, 'x');
    await rm(probe);
    const { bavail, bsize } = await statfs(paths.data);
    const free = bavail * bsize;
    if (free >= LITTLE_SPACE_BYTES) return { about, state: 'ok', says: `${formatBytes(free)} free in ${paths.data}.` };
    return {
      about,
      state: 'note',
      says: `Only ${formatBytes(free)} free in ${paths.data}: large models will not fit.`,
      remedy: 'Free some space, or keep Hearth elsewhere with --home.',
    };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return {
      about,
      state: 'bad',
      says: `${paths.data} cannot be written (${code}).`,
      remedy: 'Check its rights and the free space.',
    };
  }
}

async function checkGpus(): Promise<readonly Finding[]> {
  const gpus = (await listGpus()).filter((gpu) => gpu.kind !== 'virtual');
  const host = describeHost();
  if (gpus.length === 0) {
    return [
      {
        about: 'GPU',
        state: 'note',
        says: `None was found; shards run on the processor (${host.cpu}, ${host.cores} cores), which is good for practice only.`,
        remedy: 'If there is a GPU in this machine, install its driver and look again: hearth gpus',
      },
    ];
  }
  return gpus.map((gpu) => ({
    about: 'GPU',
    state: 'ok',
    says: `${gpu.model}, ${gpu.vramBytes === undefined ? 'memory unknown' : formatBytes(gpu.vramBytes)}, driver ${gpu.driver ?? 'unknown'}.`,
  }));
}

function checkWallet(paths: Paths, network: string): Finding {
  const about = 'Wallet';
  if (existsSync(walletFile(paths))) return { about, state: 'ok', says: 'There is one.' };
  if (network === 'practice') {
    return {
      about,
      state: 'note',
      says: 'There is none; the practice network does without.',
      remedy: 'Before you work for real: hearth wallet create',
    };
  }
  return {
    about,
    state: 'bad',
    says: 'There is none, so nothing can be earned.',
    remedy: 'Make one: hearth wallet create',
  };
}

async function checkAgent(paths: Paths): Promise<Finding> {
  const status = await askAgent(paths.data, 'status', 3_000);
  if (status.ok) return { about: 'Agent', state: 'ok', says: 'It is running. See: hearth status' };
  return {
    about: 'Agent',
    state: status.error.code === 'agent.not_running' ? 'note' : 'bad',
    says: status.error.message,
    remedy: status.error.remedy ?? '',
  };
}
