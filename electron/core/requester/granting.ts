import { randomBytes } from 'node:crypto';
import { digestBytes, digestTensors } from '#core/market/wire/digest.ts';
import { Packer } from '#core/market/wire/pack.ts';
import type { ShardMove } from '#core/ledger/requester-ledger.ts';
import { tensorBytes, type NamedTensors } from '#shared/model/tensor.ts';
import { leaseStatement, type LeaseId, type LeaseStatement } from '#shared/protocol/work-messages.ts';
import { layoutKey, layoutOf, payloadOf } from '#shared/protocol/work-tensors.ts';
import { encode } from '#shared/protocol/work-wire.ts';
import type { Sha256Hex } from '#shared/units.ts';
import type { TensorLayout } from '#shared/protocol/work-messages.ts';
import type { BoardShard } from './board.ts';
import type { JobCore } from './job-core.ts';
import { Step } from './ruling.ts';
import type { Session } from './session.ts';

const SEAL_MS = 5000;

export type GrantOutcome = 'granted' | 'nothing' | 'no_funds' | 'halted';

interface Packed {
  readonly shard: BoardShard;
  readonly layout: number;
  readonly digest: Sha256Hex;
  readonly parts: readonly Uint8Array[];
}

/** Turns wants into leases. One at a time for a job, so that shards come into being in the order of their index. */
export class Granter {
  private readonly core: JobCore;
  private readonly inputs: (index: number) => Promise<NamedTensors | undefined>;
  private turn: Promise<unknown> = Promise.resolve();
  /** Layouts of inputs seen, so that shards share them and their headers are made once. */
  private readonly layouts = new Map<string, TensorLayout>();

  constructor(core: JobCore, inputs: (index: number) => Promise<NamedTensors | undefined>) {
    this.core = core;
    this.inputs = inputs;
  }

  grant(session: Session, maxShards: number): Promise<GrantOutcome> {
    const next = this.turn.then(() => this.grantNow(session, maxShards));
    this.turn = next.catch(() => undefined);
    return next;
  }

  async idle(): Promise<void> {
    await this.turn;
  }

  private async grantNow(session: Session, maxShards: number): Promise<GrantOutcome> {
    const { board, paymaster, context } = this.core;
    const room = paymaster.room(session.account);
    if (room < 1) return board.hasWorkFor(session.peer, context.settings.mostInTheAir) ? 'no_funds' : 'nothing';
    const most = Math.min(maxShards, room, context.settings.maxShardsPerLease);
    const taken = board.take(session.peer, most, context.settings.mostInTheAir);
    if (taken.length === 0) return 'nothing';
    // Counted at once: what happens while inputs are made must know of it.
    session.account.leased += taken.length;
    const packer = new Packer();
    const packed = await this.pack(taken, packer);
    for (const shard of taken.slice(packed.length)) this.putBack(session, shard);
    if (packed.length === 0) return 'nothing';
    return (await this.send(session, packed, packer)) ? 'granted' : 'halted';
  }

  /** As many of the shards as fit into one lease, from the front; a source that ends fixes the job's count. */
  private async pack(taken: readonly BoardShard[], packer: Packer): Promise<Packed[]> {
    const packed: Packed[] = [];
    for (const shard of taken) {
      const inputs = await this.inputs(shard.index);
      if (inputs === undefined) {
        this.core.board.count = Math.min(this.core.board.count ?? Infinity, shard.index);
        break;
      }
      const layout = this.layoutFor(inputs);
      const number = packer.add(layout, tensorBytes(inputs));
      if (number === undefined) break;
      const parts = payloadOf(layout, inputs);
      const digest = digestTensors(layout, parts);
      if (shard.inputDigest !== '' && shard.inputDigest !== digest) {
        throw new Error(`the inputs of shard ${shard.index} are not those of before`);
      }
      packed.push({ shard, layout: number, digest, parts });
    }
    return packed;
  }

  private layoutFor(inputs: NamedTensors): TensorLayout {
    const own = layoutOf(inputs);
    const key = layoutKey(own);
    const known = this.layouts.get(key);
    if (known !== undefined) return known;
    if (this.layouts.size < 64) this.layouts.set(key, own);
    return own;
  }

  /** Shards that did not fit: new ones are as if never taken, others wait again. */
  private putBack(session: Session, shard: BoardShard): void {
    const { board } = this.core;
    session.account.leased -= 1;
    const isIdle = board.release(shard, session.peer);
    if (shard.inputDigest === '') {
      board.remove(shard);
      board.nextIndex = Math.min(board.nextIndex, shard.index);
    } else if (isIdle) board.queued.add(shard.index);
  }

  private async send(session: Session, packed: readonly Packed[], packer: Packer): Promise<boolean> {
    const { core } = this;
    const { context, board } = core;
    const leaseId = randomBytes(16).toString('hex') as LeaseId;
    const expiresAt = context.clock.now() + context.settings.leaseSeconds * 1000;
    const statement: LeaseStatement = {
      offerId: core.offerId,
      leaseId,
      provider: session.peer,
      modelDigest: core.terms.modelDigest,
      expiresAt,
      layouts: packer.layouts,
      shards: packed.map(({ shard, layout, digest }) => ({ index: shard.index, layout, digest })),
    };
    const payload = encode(leaseStatement, statement);
    const sealed = await context.network.seal('lease', payload, SEAL_MS);
    const indices = packed.map(({ shard }) => shard.index);
    const grant = { leaseId, peer: session.peer, shards: indices, statementDigest: digestBytes(payload), expiresAt };
    const moves: ShardMove[] = [];
    for (const { shard, digest } of packed) {
      if (shard.inputDigest === '')
        moves.push({ index: shard.index, from: undefined, to: 'assigned', inputDigest: digest });
      else if (shard.state === 'queued') moves.push({ index: shard.index, from: 'queued', to: 'assigned' });
      if (shard.state === 'queued') shard.state = 'assigned';
      shard.inputDigest = digest;
    }
    if (!core.commit(new Step(), { grant, shards: moves, nextIndex: board.nextIndex })) return false;
    core.grants.set(leaseId, { ...grant, left: new Set(indices) });
    session.link.send(
      { kind: 'lease', body: { sealed } },
      packed.flatMap(({ parts }) => parts),
    );
    core.emit({
      type: 'lease.granted',
      leaseId,
      peerId: session.peer,
      shards: packed.length,
      bytes: packer.payloadBytes,
    });
    return true;
  }
}
