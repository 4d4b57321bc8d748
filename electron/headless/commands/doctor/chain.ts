import { connect } from 'node:net';
import { randomBytes } from 'node:crypto';
import { computeAddress } from 'ethers';
import { createChain } from '#core/chain/chain.ts';
import type { Paths } from '#core/settings/paths.ts';
import type { NetworkFile } from '#shared/model/network-file.ts';
import type { Address } from '#shared/units.ts';
import { loadNetworkFile } from '../parts/network-file.ts';
import type { Finding } from './finding.ts';

/** Is the chain there and the right one, and does a way into the network answer? */
export async function checkChain(network: string, paths: Paths): Promise<readonly Finding[]> {
  const loaded = await loadNetworkFile(network, paths);
  if (!loaded.ok) {
    const { code, message, remedy } = loaded.error;
    return [
      {
        about: 'Network',
        state: code === 'network_file.no_practice' ? 'note' : 'bad',
        says: message,
        remedy: remedy ?? '',
      },
    ];
  }
  return Promise.all([checkRpc(loaded.value), checkBootstrap(loaded.value)]);
}

async function checkRpc(networkFile: NetworkFile): Promise<Finding> {
  // Reading needs no key of anybody's; the adapter wants one, so it gets one that is forgotten at once.
  const privateKey = randomBytes(32);
  const address = computeAddress(`0x${privateKey.toString('hex')}`) as Address;
  const chain = await createChain({ networkFile, wallet: { address, privateKey }, rpcTimeoutMs: 8_000 });
  try {
    const checked = await chain.check();
    if (!checked.ok)
      return { about: 'Chain', state: 'bad', says: checked.error.message, remedy: checked.error.remedy ?? '' };
    return {
      about: 'Chain',
      state: 'ok',
      says: `Chain ${networkFile.chain.chainId} answers, at block ${checked.value.blockNumber}.`,
    };
  } finally {
    await chain.stop();
  }
}

async function checkBootstrap(networkFile: NetworkFile): Promise<Finding> {
  const answers = await Promise.all(networkFile.bootstrap.map(answersTcp));
  const reached = answers.filter((answer) => answer).length;
  if (reached > 0) {
    return {
      about: 'Network',
      state: 'ok',
      says: `${reached} of ${answers.length} ways into ${networkFile.networkId} answer.`,
    };
  }
  return {
    about: 'Network',
    state: 'bad',
    says: `None of the ${answers.length} ways into ${networkFile.networkId} answers.`,
    remedy:
      'Check the internet connection and the firewall (outgoing TCP); then ask the network whether its relays are up.',
  };
}

/** Does anything listen at the TCP port of a multiaddr? The protocol on top is the agent's business. */
function answersTcp(multiaddr: string): Promise<boolean> {
  const [, , host, transport, port] = multiaddr.split('/');
  if (host === undefined || transport !== 'tcp' || port === undefined) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), timeout: 5_000 });
    const finish = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', finish(true));
    socket.once('timeout', finish(false));
    socket.once('error', finish(false));
  });
}
