import { describe, expect, it } from 'vitest';
import { fold } from '#core/state/fold.ts';
import { StateHub } from '#core/state/hub.ts';
import { appError } from '#shared/errors.ts';
import type { ProviderEvent } from '#shared/model/events.ts';
import { agentState, PEER } from '#support/agent-state.ts';

const joined: ProviderEvent = { at: 5, type: 'work.joined', offerId: 'o', peerId: PEER, channelId: '0x01' };
const computed: ProviderEvent = {
  at: 6,
  type: 'shard.computed',
  leaseId: 'l',
  peerId: PEER,
  shard: 0,
  backend: 'cpu',
  ms: 3,
  bytes: 4,
};

describe('the agent state', () => {
  it('follows work from joining to its end', () => {
    const lease: ProviderEvent = { at: 6, type: 'lease.received', leaseId: 'l', peerId: PEER, shards: 4, bytes: 1 };
    const working = [joined, lease, computed].reduce(fold, agentState({ phase: 'joining', reason: 'x' }));
    expect(working).toMatchObject({ phase: 'working', reason: undefined, shards: { computed: 1 } });
    expect(working.work).toMatchObject({ requester: PEER, since: 5, leaseShards: 4, shardsDone: 1, lastShardMs: 3 });
    const error = appError('network.stream_closed', 'It closed.');
    const ended = fold(working, { at: 7, type: 'work.ended', offerId: 'o', peerId: PEER, outcome: 'broken', error });
    expect(ended).toMatchObject({ phase: 'looking', work: undefined, lastError: error, shards: { computed: 1 } });
  });

  it('adds money without losing a digit', () => {
    const voucher = { at: 1, type: 'voucher.received', peerId: PEER, channelId: '0x01', cumulativeWei: '0' } as const;
    const rich = ['9007199254740993', '1'].reduce(
      (state, addedWei) => fold(state, { ...voucher, addedWei }),
      agentState(),
    );
    expect(rich.money.earnedWei).toBe('9007199254740994');
  });

  it('is the same object after a fact that shows nowhere', () => {
    const state = agentState();
    expect(fold(state, { at: 1, type: 'channel.closed', channelId: '0x01', settledWei: '1' })).toBe(state);
    expect(fold(state, { at: 1, type: 'lease.received', leaseId: 'l', peerId: PEER, shards: 4, bytes: 1 })).toBe(state);
  });

  it('is told to subscribers at once and after each change, and counted up', () => {
    const { revision: _none, ...initial } = agentState();
    const hub = new StateHub(initial);
    const seen: number[] = [];
    const stop = hub.subscribe(({ revision }) => seen.push(revision));
    hub.tell(joined);
    hub.tell({ at: 1, type: 'channel.closed', channelId: '0x01', settledWei: '1' });
    hub.patch({ phase: 'stopping' });
    stop();
    hub.patch({ phase: 'stopped' });
    expect(seen).toEqual([0, 1, 2]);
    expect(hub.state).toMatchObject({ revision: 3, phase: 'stopped' });
  });
});
