import path from 'node:path';
import { z } from 'zod';
import { startAgent } from '#core/agent.ts';
import { practicePurseFromFile } from '#core/key-file.ts';
import { openLogFile } from '#core/obs/logger.ts';
import type { Compute } from '#core/compute/port.ts';
import { networkFileSchema } from '#shared/model/network-file.ts';
import { settingsSchema } from '#shared/model/settings.ts';
import { ok } from '#shared/result.ts';
import { practiceFaucet } from '../commands/parts/faucet.ts';
import { executorFiles } from '../commands/parts/layout.ts';
import type { StartRole } from './serve-role.ts';

const configSchema = z.object({
  name: z.string(),
  directory: z.string(),
  logs: z.string(),
  networkFile: networkFileSchema,
  settings: settingsSchema,
});

const STATE_EVERY_MS = 250;

/** A contributor of the practice network: a whole agent with a purse of play money. */
export const startContributorRole: StartRole = (raw, emit) => startContributor(raw, emit);

/** `wrapCompute` is for tests that need a contributor of bad character. */
export async function startContributor(
  raw: unknown,
  emit: Parameters<StartRole>[1],
  wrapCompute?: (compute: Compute) => Compute,
): ReturnType<StartRole> {
  const config = configSchema.parse(raw);
  const wallet = await practicePurseFromFile(path.join(config.directory, 'purse.key'));
  if (!wallet.ok) return wallet;
  const log = openLogFile({
    directory: config.logs,
    name: `practice-${config.name}`,
    level: config.settings.log.level,
  });
  const findGas = practiceFaucet(config.networkFile, wallet.value.address);
  const agent = await startAgent({
    directory: config.directory,
    networkFile: config.networkFile,
    settings: config.settings,
    wallet: wallet.value,
    executor: executorFiles(),
    logger: log.logger,
    local: true,
    findGas,
    onEvent: emit,
    ...(wrapCompute === undefined ? {} : { wrapCompute }),
  });
  if (!agent.ok) return agent;
  const { hub, provider } = agent.value;
  // The state is whole each time, so between two of them nothing is lost: four a second are enough for eyes.
  let told = -1;
  const tell = (): void => {
    if (hub.state.revision === told) return;
    told = hub.state.revision;
    emit({ type: 'agent.state', state: hub.state } as { type: string });
  };
  const timer = setInterval(tell, STATE_EVERY_MS);
  return ok({
    ready: { peerId: hub.state.identity.peerId, address: hub.state.identity.address },
    ask: async (what) => (what === 'settle' ? provider.settleNow() : undefined),
    stop: async () => {
      await agent.value.stop({ graceful: true });
      clearInterval(timer);
      tell();
      await log.close();
    },
  });
}
