import { z } from 'zod';
import { resetPracticeChain, startPracticeChain } from '#core/chain/practice/chain.ts';
import { ok } from '#shared/result.ts';
import type { StartRole } from './serve-role.ts';

const configSchema = z.object({ directory: z.string(), fresh: z.boolean(), port: z.number().int() });

/** The practice network's chain. Ready with everything a network file says of a chain. */
export const startChainRole: StartRole = async (raw) => {
  const config = configSchema.parse(raw);
  if (config.fresh) {
    const reset = await resetPracticeChain(config.directory);
    if (!reset.ok) return reset;
  }
  const started = await startPracticeChain({ directory: config.directory, port: config.port });
  if (!started.ok) return started;
  const chain = started.value;
  return ok({
    ready: {
      chainId: chain.chainId,
      rpcUrls: [chain.url],
      contracts: chain.contracts,
      token: chain.token,
      deployBlock: chain.deployBlock,
      long: chain.journal.long,
    },
    stop: () => chain.stop(),
  });
};
