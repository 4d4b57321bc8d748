import type { Misdeed, Network, ProtocolHandler, VerifiedStatement } from '#core/network/port.ts';
import { appError } from '#shared/errors.ts';
import { err, ok } from '#shared/result.ts';
import type { PeerIdText } from '#shared/units.ts';
import { MemoryNet, type MemoryPeer } from '../memory-network.ts';

interface Statement {
  readonly kind: string;
  readonly sender: PeerIdText;
  readonly expiresAt: number;
  readonly payload: string;
}

/** Peers in this process with gossip and statements. Statements say who made them and nobody checks: signing is the network's own business. */
export class FakeNetwork {
  readonly net = new MemoryNet();
  private readonly listeners = new Map<PeerIdText, Map<string, Set<(statement: VerifiedStatement) => void>>>();

  peer(name: string): FakePeer {
    return new FakePeer(this, this.net.peer(name));
  }

  listen(peer: PeerIdText, kind: string, listener: (statement: VerifiedStatement) => void): () => void {
    const kinds = this.listeners.get(peer) ?? new Map<string, Set<(statement: VerifiedStatement) => void>>();
    this.listeners.set(peer, kinds);
    const set = kinds.get(kind) ?? new Set();
    kinds.set(kind, set);
    set.add(listener);
    return () => set.delete(listener);
  }

  gossip(kind: string, statement: VerifiedStatement): void {
    for (const [peer, kinds] of this.listeners) {
      if (peer === statement.sender) continue;
      for (const listener of kinds.get(kind) ?? []) listener(statement);
    }
  }
}

export class FakePeer {
  readonly memory: MemoryPeer;
  readonly peerId: PeerIdText;
  private readonly world: FakeNetwork;

  constructor(world: FakeNetwork, memory: MemoryPeer) {
    this.world = world;
    this.memory = memory;
    this.peerId = memory.peerId;
  }

  get reported(): readonly { readonly peer: PeerIdText; readonly misdeed: Misdeed }[] {
    return this.memory.reported;
  }

  /** As a crash or a pulled cable would. */
  die(): void {
    this.memory.die();
  }

  revive(): void {
    this.memory.revive();
  }

  get network(): Network {
    const { memory, world, peerId } = this;
    return {
      peerId,
      addresses: () => [`/memory/${peerId}`],
      peers: () => [],
      reachability: () => ({ state: 'public', reason: '', remedy: undefined, since: 0 }),
      serve: (handler: ProtocolHandler) => memory.serve(handler),
      open: (peer: PeerIdText, protocol: string) => memory.open(peer, protocol),
      publish: async (kind: string, payload: Uint8Array, ttlMs: number) => {
        world.gossip(kind, { sender: peerId, payload: payload.slice(), expiresAt: Date.now() + ttlMs });
        return ok();
      },
      subscribe: (kind: string, listener: (statement: VerifiedStatement) => void) =>
        world.listen(peerId, kind, listener),
      seal: async (kind: string, payload: Uint8Array, ttlMs: number) => {
        const statement: Statement = {
          kind,
          sender: peerId,
          expiresAt: Date.now() + ttlMs,
          payload: Buffer.from(payload).toString('base64'),
        };
        return Buffer.from(JSON.stringify(statement));
      },
      unseal: async (kind: string, sealed: Uint8Array) => {
        const statement = JSON.parse(Buffer.from(sealed).toString()) as Statement;
        if (statement.kind !== kind) return err(appError('network.statement_invalid', 'another kind'));
        return ok({ ...statement, payload: Uint8Array.from(Buffer.from(statement.payload, 'base64')) });
      },
      report: (peer: PeerIdText, misdeed: Misdeed) => memory.report(peer, misdeed),
      isBanned: () => false,
      provide: async () => {},
      findProviders: (cid: string) => memory.findProviders(cid),
      on: () => () => {},
      stop: async () => {},
    } as Partial<Network> as Network;
  }
}
