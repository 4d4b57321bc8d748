// One side of the market as a process of its own, which kills itself at one transition when it is told to. Run by crash.test.ts.
import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import path from 'node:path';
import type { Compute } from '#core/compute/port.ts';
import { executorFromSources } from '#core/compute/executor-files.ts';
import type { Move, TransitionObserver } from '#core/ledger/database.ts';
import { openLedger } from '#core/ledger/open-ledger.ts';
import { systemClock } from '#core/market/clock.ts';
import { createProvider } from '#core/market/provider.ts';
import { silentLogger } from '#core/obs/logger.ts';
import { startPeer, type Peer } from '#core/peer.ts';
import { createRequester } from '#core/requester/requester.ts';
import { practicePurseFromFile, type PurseKey } from '#core/key-file.ts';
import { networkFileSchema } from '#shared/model/network-file.ts';
import { sha256Hex, wei } from '#shared/units.ts';
import { createFakeCompute } from '#support/fake-compute.ts';
import { f32, float32Values } from '#support/tensors.ts';
import { PRICE, type CrashConfig, type FromRole, type ToRole } from './crash-messages.ts';

const config = JSON.parse(process.argv[2] ?? '{}') as CrashConfig;
const network = networkFileSchema.parse(config.networkFile);
const born = Date.now() - process.uptime() * 1000;
const log = (what: unknown) => {
  if (process.env['CRASH_LOG'] !== undefined)
    process.stderr.write(`${config.role} ${process.pid} +${Math.round(Date.now() - born)} ${JSON.stringify(what)}\n`);
};
const say = (message: FromRole) => process.send?.(message);
const MODEL = new TextEncoder().encode('a model that squares and adds one');
const digest = sha256Hex(createHash('sha256').update(MODEL).digest('hex'));

/** SIGKILL at the n-th transition of this kind: nothing after it happens, not even a handler. */
function killer(): TransitionObserver {
  let seen = 0;
  return (moment: 'before' | 'after', moves: readonly Move[]) => {
    const { kill } = config;
    if (kill === undefined || moment !== kill.moment) return;
    if (!moves.some(({ machine, to }) => machine === kill.machine && to === kill.to)) return;
    seen += 1;
    if (seen < kill.nth) return;
    log(kill);
    process.kill(process.pid, 'SIGKILL');
    // The signal is on its way; nothing else may happen here.
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  };
}

function compute(): Compute {
  const spec = (name: string) => ({ name, dtype: 'float32', dims: [1] });
  const info = { digest, inputs: [spec('x')], outputs: [spec('y')], peakBytes: 8 };
  return createFakeCompute({
    models: [
      {
        info,
        compute: async (inputs) => {
          await new Promise((resolve) => {
            setTimeout(resolve, 2);
          });
          const x = float32Values(inputs['x'])[0] ?? NaN;
          return { y: f32([x * x + 1]) };
        },
      },
    ],
  });
}

function must<T>(
  result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown },
): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

async function provider(peer: Peer): Promise<void> {
  const ledger = must(openLedger(path.join(config.directory, 'ledger.sqlite'), 'provider', { observer: killer() }));
  must(
    await peer.chain.identities.register({
      peerId: peer.key.peerId,
      sign: (bytes) => peer.key.signDigest(bytes),
      peerPublicKey: peer.key.publicKey,
      uri: '',
    }),
  );
  const agent = createProvider({
    ...common(peer),
    ledger,
    placement: { backend: 'cpu', device: 0 },
    settings: { leaseTargetMs: 40, creditWei: wei(10n ** 24n), minVoucherSeconds: 60 },
    onEvent: (event) => {
      if (!event.type.startsWith('shard')) log(event);
      if (event.type === 'channel.closed') say({ type: 'closed' });
    },
  });
  agent.start();
}

async function requester(peer: Peer, wallet: PurseKey): Promise<void> {
  const ledger = must(openLedger(path.join(config.directory, 'ledger.sqlite'), 'requester', { observer: killer() }));
  const buyer = createRequester({
    ...common(peer),
    ledger,
    signer: wallet,
    onEvent: (event) => {
      if (!event.type.startsWith('shard')) log(event);
      if (event.type === 'lease.granted') say({ type: 'leased' });
    },
    settings: { offerEveryMs: 250, patienceMs: 1, rejoinMs: 4000, leaseSeconds: 30, closePatienceMs: 30_000 },
  });
  await buyer.start();
  const submitted = await buyer.submit({
    jobId: 'job',
    model: MODEL,
    source: { inputs: (index) => ({ x: f32([index]) }) },
    priceWei: wei(PRICE),
    budgetWei: wei(10n ** 15n),
    checks: 'full',
    tolerance: 1e-6,
    onOutput: (index, outputs) => {
      appendFileSync(path.join(config.directory, 'outputs.txt'), `${index} ${float32Values(outputs['y'])[0]}\n`);
    },
  });
  // Killed after the very last transition: there is nothing left to do.
  if (!submitted.ok && submitted.error.code === 'work.job_over') say({ type: 'done', ok: true });
  const handle = must(submitted);
  process.on('message', (message: ToRole) => {
    if (message.type === 'finish') handle.finishUp();
  });
  if (config.finish) handle.finishUp();
  const done = await handle.done;
  say({ type: 'done', ok: done.ok });
}

function common(peer: Peer) {
  const { chainId, contracts } = network.chain;
  return {
    network: peer.network,
    content: peer.content,
    compute: compute(),
    chain: peer.chain,
    pay: { chainId, channels: contracts.channels, token: contracts.token },
    clock: systemClock,
    logger: silentLogger,
  };
}

const wallet = must(await practicePurseFromFile(path.join(config.directory, 'purse.key')));
const peer = must(
  await startPeer({
    directory: config.directory,
    networkFile: network,
    wallet,
    logger: silentLogger,
    compute: executorFromSources('/'),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    upnp: false,
    webrtc: false,
  }),
);
say({ type: 'up' });
log('up');
await (config.role === 'provider' ? provider(peer) : requester(peer, wallet));
