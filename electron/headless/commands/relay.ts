import path from 'node:path';
import { z } from 'zod';
import { peerKeyFromFile } from '#core/key-file.ts';
import { createRelay } from '#core/network/relay/create-relay.ts';
import { openLogFile } from '#core/obs/logger.ts';
import { appError } from '#shared/errors.ts';
import { untilStopped } from '../terminal/until-stopped.ts';
import type { CommandContext } from '../program.ts';

const port = z.coerce.number().int().min(0).max(65_535);
const optionsSchema = z.object({
  networkId: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'is lower-case letters, digits and dashes'),
  tcp: port,
  ws: port,
  stun: port,
  listen: z.union([z.ipv4(), z.ipv6()]),
  announce: z.array(z.string().max(512)).max(16).optional(),
});

/** A bootstrap relay in the foreground: prints the addresses that belong into a network file, runs until stopped. */
export async function relay({ paths, output }: CommandContext, raw: unknown): Promise<void> {
  const options = optionsSchema.safeParse(raw);
  if (!options.success) {
    const issue = options.error.issues[0];
    return output.fail(
      appError('command.invalid_option', `--${issue?.path.join('.') ?? ''} ${issue?.message ?? 'is invalid'}.`, {
        remedy: 'See: hearth relay --help',
      }),
    );
  }
  const { networkId, tcp, ws, stun, listen, announce } = options.data;
  const key = await peerKeyFromFile(path.join(paths.data, 'relay.key'));
  if (!key.ok) return output.fail(key.error);
  const log = openLogFile({ directory: paths.logs, name: 'relay', level: 'info' });
  const host = listen.includes(':') ? `/ip6/${listen}` : `/ip4/${listen}`;
  const started = await createRelay({
    networkId,
    key: key.value,
    listen: [`${host}/tcp/${tcp}`, `${host}/tcp/${ws}/ws`],
    stun: { port: stun, host: listen },
    log: log.logger,
    ...(announce === undefined ? {} : { announce }),
  });
  if (!started.ok) return output.fail(started.error);
  const addresses = started.value.network.addresses();
  output.result(
    { event: 'relay.ready', peerId: started.value.network.peerId, addresses, stunPort: started.value.stunPort },
    () =>
      [
        `Relay of ${networkId} is up. Its addresses, for the network file:`,
        ...addresses.map((address) => `  ${address}`),
        `STUN on UDP port ${started.value.stunPort}`,
        '',
        'Ctrl-C stops it.',
      ].join('\n'),
  );
  await untilStopped().asked;
  await started.value.stop();
  await log.close();
}
