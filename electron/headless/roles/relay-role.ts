import path from 'node:path';
import { z } from 'zod';
import { peerKeyFromFile } from '#core/key-file.ts';
import { createRelay } from '#core/network/relay/create-relay.ts';
import { openLogFile } from '#core/obs/logger.ts';
import { ok } from '#shared/result.ts';
import type { StartRole } from './serve-role.ts';

const configSchema = z.object({
  directory: z.string(),
  logs: z.string(),
  networkId: z.string(),
  port: z.number().int(),
});

/** The practice network's meeting point, on loopback only. */
export const startRelayRole: StartRole = async (raw) => {
  const config = configSchema.parse(raw);
  const key = await peerKeyFromFile(path.join(config.directory, 'relay.key'));
  if (!key.ok) return key;
  const log = openLogFile({ directory: config.logs, name: 'practice-relay', level: 'info' });
  const relay = await createRelay({
    networkId: config.networkId,
    key: key.value,
    listen: [`/ip4/127.0.0.1/tcp/${config.port}`, '/ip4/127.0.0.1/tcp/0/ws'],
    stun: { port: 0, host: '127.0.0.1' },
    privateAddresses: true,
    log: log.logger,
  });
  if (!relay.ok) return relay;
  const { network, stunPort } = relay.value;
  return ok({
    ready: { peerId: network.peerId, addresses: network.addresses(), stun: [`127.0.0.1:${stunPort}`] },
    stop: async () => {
      await relay.value.stop();
      await log.close();
    },
  });
};
