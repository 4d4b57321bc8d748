import { randomBytes } from 'node:crypto';
import type { Voucher } from '#core/chain/port.ts';
import { digestTensors } from '#core/market/wire/digest.ts';
import { WorkLink } from '#core/market/wire/work-link.ts';
import {
  leaseStatement,
  offer as offerType,
  WORK_PROTOCOL,
  type BodyOf,
  type LeaseId,
  type LeaseStatement,
  type Offer,
  type OfferId,
  type WorkMessage,
  type WorkMessageKind,
} from '#shared/protocol/work-messages.ts';
import { layoutOf, payloadOf } from '#shared/protocol/work-tensors.ts';
import { encode } from '#shared/protocol/work-wire.ts';
import { sha256Hex, wei, type Hex } from '#shared/units.ts';
import type { FakeAccount } from '../fake-chain.ts';
import type { FakePeer } from './fake-network.ts';
import { inputOf, MODEL, must, PRICE, type ProviderNode, type World } from './world.ts';
import { createHash } from 'node:crypto';

/** A requester whose every word a test chooses. It publishes one offer and answers one provider at a time. */
export class ScriptedRequester {
  readonly peer: FakePeer;
  readonly account: FakeAccount;
  readonly offerId = randomBytes(16).toString('hex') as OfferId;
  private readonly world: World;
  private waiting: ((link: WorkLink) => void)[] = [];
  private readonly links: WorkLink[] = [];

  constructor(world: World) {
    this.world = world;
    this.peer = world.network.peer('scripted');
    this.account = world.chain.account(900);
  }

  async publish(changes: Partial<Offer> = {}): Promise<void> {
    const { network } = this.peer;
    const modelCid = must(await this.world.content().add(MODEL));
    await network.serve({
      protocol: WORK_PROTOCOL,
      maxInboundStreams: 8,
      allowRelayed: false,
      handle: async (conversation) => {
        const link = new WorkLink(conversation);
        const next = this.waiting.shift();
        if (next === undefined) this.links.push(link);
        else next(link);
      },
    });
    const offer: Offer = {
      offerId: this.offerId,
      kind: 'inference',
      modelCid,
      modelDigest: sha256Hex(createHash('sha256').update(MODEL).digest('hex')),
      modelBytes: MODEL.byteLength,
      priceWei: PRICE,
      shardsOpen: 100,
      maxShardsPerLease: 16,
      payer: this.account.address,
      ...this.world.chain.pay,
      deadline: Date.now() + 60_000,
      backends: ['cpu'],
      tolerance: 1e-5,
      checks: 'full',
      addresses: [],
      ...changes,
    };
    must(await network.publish('offer', encode(offerType, offer), 60_000));
  }

  /** The next conversation that a provider opens. */
  async conversation(): Promise<WorkLink> {
    const ready = this.links.shift();
    return ready ?? new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Opens a channel for the provider on chain. */
  async openChannel(provider: ProviderNode, depositWei = 1_000_000n, challengeSeconds = 86_400): Promise<Hex> {
    const opened = await this.account.chain.channels.open({
      payee: provider.account.address,
      signer: this.account.address,
      depositWei: wei(depositWei),
      challengeSeconds,
      reference: `0x${randomBytes(32).toString('hex')}`,
    });
    return must(opened).channelId;
  }

  /** Join and welcome, up to the first want. */
  async begin(
    provider: ProviderNode,
    welcome: Partial<BodyOf<'welcome'>> = {},
  ): Promise<{ readonly link: WorkLink; readonly channelId: Hex }> {
    const link = await this.conversation();
    await expectMessage(link, 'join');
    const channelId = welcome.channelId ?? (await this.openChannel(provider));
    link.send({
      kind: 'welcome',
      body: { channelId, priceWei: PRICE, leaseSeconds: 60, maxShardsPerLease: 16, ...welcome },
    });
    return { link, channelId };
  }

  /** Leases these shards, whatever was wanted. */
  async lease(
    link: WorkLink,
    indices: readonly number[],
    changes: Partial<LeaseStatement> = {},
    tamper = (bytes: Uint8Array) => bytes,
  ): Promise<LeaseId> {
    const layout = layoutOf(inputOf(0));
    const parts = indices.map((index) => payloadOf(layout, inputOf(index)));
    const leaseId = randomBytes(16).toString('hex') as LeaseId;
    const statement: LeaseStatement = {
      offerId: this.offerId,
      leaseId,
      provider: link.peer,
      modelDigest: sha256Hex(createHash('sha256').update(MODEL).digest('hex')),
      expiresAt: Date.now() + 60_000,
      layouts: [layout],
      shards: indices.map((index, at) => ({ index, layout: 0, digest: digestTensors(layout, parts[at] ?? []) })),
      ...changes,
    };
    const sealed = await this.peer.network.seal('lease', encode(leaseStatement, statement), 60_000);
    link.send({ kind: 'lease', body: { sealed } }, parts.flat().map(tamper));
    return leaseId;
  }

  voucher(channelId: Hex, cumulative: bigint, changes: Partial<Voucher> = {}): Voucher {
    const terms = {
      channelId,
      cumulativeWei: wei(cumulative),
      expiresAt: Math.floor(Date.now() / 1000) + 30 * 86_400,
      ...changes,
    };
    return this.account.chain.vouchers.sign(terms, this.account.privateKey);
  }

  /** A lease of these shards computed, judged accepted, and ready to be paid. */
  async worked(
    provider: ProviderNode,
    indices: readonly number[],
  ): Promise<{ readonly link: WorkLink; readonly channelId: Hex }> {
    const { link, channelId } = await this.begin(provider);
    for (const index of indices) {
      await expectMessage(link, 'want');
      const leaseId = await this.lease(link, [index]);
      const results = await expectMessage(link, 'results');
      must(await link.payload(results.items.map(({ layout }) => results.layouts[layout] ?? { tensors: [] })));
      link.send({ kind: 'verdicts', body: { leaseId, items: [{ index, outcome: 'accepted', code: '' }] } });
    }
    return { link, channelId };
  }
}

/** The next message of this kind; others before it are passed over. */
export async function expectMessage<K extends WorkMessageKind>(link: WorkLink, kind: K): Promise<BodyOf<K>> {
  for (;;) {
    const received = must(await link.next(5000));
    if (received === undefined) throw new Error(`the conversation ended before a ${kind}`);
    // TypeScript does not narrow a generic member of a union by its kind.
    if (isKind(received, kind)) return received.body as BodyOf<K>;
  }
}

function isKind<K extends WorkMessageKind>(
  message: WorkMessage,
  kind: K,
): message is Extract<WorkMessage, { kind: K }> {
  return message.kind === kind;
}
