import { createHash } from 'node:crypto';
import { digestBytes, digestTensors } from '#core/market/wire/digest.ts';
import { tensorsOfPayload } from '#core/market/wire/payload.ts';
import { WorkLink } from '#core/market/wire/work-link.ts';
import {
  doneStatement,
  joinStatement,
  leaseStatement,
  WORK_PROTOCOL,
  type BodyOf,
  type DoneStatement,
  type LeaseId,
  type LeaseStatement,
  type OfferId,
} from '#shared/protocol/work-messages.ts';
import { layoutOf, payloadOf } from '#shared/protocol/work-tensors.ts';
import { decode, encode } from '#shared/protocol/work-wire.ts';
import type { Address, Sha256Hex } from '#shared/units.ts';
import type { FakeAccount } from '../fake-chain.ts';
import { f32, float32Values } from '../tensors.ts';
import type { FakePeer } from './fake-network.ts';
import { expectMessage } from './scripted-requester.ts';
import { must, type RequesterNode, type World } from './world.ts';

export interface TakenLease {
  readonly leaseId: LeaseId;
  readonly statement: LeaseStatement;
  readonly digest: Sha256Hex;
  readonly xs: readonly number[];
}

/** A provider whose every word a test chooses. */
export class ScriptedProvider {
  readonly peer: FakePeer;
  readonly account: FakeAccount;
  private readonly requester: RequesterNode;

  constructor(world: World, requester: RequesterNode, name = 'scripted') {
    this.peer = world.network.peer(name);
    this.account = world.chain.account(901);
    this.requester = requester;
    world.chain.register(this.peer.peerId, this.account.address);
  }

  async open(): Promise<WorkLink> {
    return new WorkLink(
      must(await this.peer.network.open(this.requester.peer.peerId, WORK_PROTOCOL, { timeoutMs: 1000 })),
    );
  }

  async sayJoin(
    link: WorkLink,
    offerId: string,
    changes: { readonly payee?: Address; readonly sealed?: Uint8Array; readonly leases?: readonly LeaseId[] } = {},
  ): Promise<void> {
    const statement = encode(joinStatement, {
      offerId: offerId as OfferId,
      payee: changes.payee ?? this.account.address,
      backend: 'cpu',
    });
    const sealed = changes.sealed ?? (await this.peer.network.seal('join', statement, 60_000));
    link.send({ kind: 'join', body: { sealed, leases: changes.leases ?? [] } });
  }

  /** Join and welcome. */
  async join(
    offerId: string,
    leases: readonly LeaseId[] = [],
  ): Promise<{ readonly link: WorkLink; readonly welcome: BodyOf<'welcome'> }> {
    const link = await this.open();
    await this.sayJoin(link, offerId, { leases });
    return { link, welcome: await expectMessage(link, 'welcome') };
  }

  async takeLease(link: WorkLink, maxShards: number): Promise<TakenLease> {
    link.send({ kind: 'want', body: { maxShards } });
    const { sealed } = await expectMessage(link, 'lease');
    const signed = must(await this.peer.network.unseal('lease', sealed)).payload;
    const statement = must(decode(leaseStatement, signed));
    const layouts = statement.shards.map(({ layout }) => statement.layouts[layout] ?? { tensors: [] });
    const parts = must(await link.payload(layouts));
    const xs = tensorsOfPayload(layouts, parts).map((inputs) => float32Values(inputs['x'])[0] ?? NaN);
    return { leaseId: statement.leaseId, statement, digest: digestBytes(signed), xs };
  }

  /** Sends these outputs for these shards; right ones where none are given. */
  answer(
    link: WorkLink,
    lease: Pick<TakenLease, 'leaseId'>,
    answers: readonly { readonly index: number; readonly y: number; readonly digest?: Sha256Hex }[],
  ): void {
    const outputs = answers.map(({ y }) => ({ y: f32([y]) }));
    const layout = layoutOf(outputs[0] ?? {});
    const parts = outputs.map((each) => payloadOf(layout, each));
    const items = answers.map(({ index, digest }, at) => ({
      index,
      code: '',
      layout: 0,
      digest: digest ?? digestTensors(layout, parts[at] ?? []),
      computeMicros: 10,
    }));
    link.send({ kind: 'results', body: { leaseId: lease.leaseId, layouts: [layout], items } }, parts.flat());
  }

  rightAnswers(lease: TakenLease): { readonly index: number; readonly y: number }[] {
    return lease.statement.shards.map(({ index }, at) => ({ index, y: (lease.xs[at] ?? NaN) ** 2 + 1 }));
  }

  async sayDone(link: WorkLink, lease: TakenLease, changes: Partial<DoneStatement> = {}): Promise<void> {
    const statement = encode(doneStatement, {
      offerId: lease.statement.offerId,
      leaseId: lease.leaseId,
      leaseDigest: lease.digest,
      outputs: [],
      ...changes,
    });
    link.send({
      kind: 'leaseDone',
      body: { leaseId: lease.leaseId, sealed: await this.peer.network.seal('lease-done', statement, 60_000) },
    });
  }
}

export function anyDigest(text: string): Sha256Hex {
  return createHash('sha256').update(text).digest('hex') as Sha256Hex;
}
