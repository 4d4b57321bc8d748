import type { AgentState } from '#shared/model/state.ts';
import type { PeerIdText } from '#shared/units.ts';

export const PEER = '16Uiu2HAmNdBsmDgzDthXcTnTYMKJaCQ4vEZ7E8iW32brCuTYAA5L' as PeerIdText;

/** An agent that has just started to look for work, with what a test wants otherwise. */
export function agentState(change: Partial<AgentState> = {}): AgentState {
  return {
    revision: 0,
    startedAt: 0,
    phase: 'looking',
    reason: undefined,
    identity: { peerId: undefined, address: undefined, agentId: undefined },
    network: { networkId: 'practice-1', peers: 1, reachable: 'private', reason: '', remedy: undefined },
    device: { backend: 'cpu', name: 'a processor' },
    token: { symbol: 'HEAT', decimals: 18 },
    work: undefined,
    shards: { computed: 0, accepted: 0, refused: 0, failed: 0 },
    money: { earnedWei: '0', settledWei: '0', lastTransaction: undefined },
    reputation: { score: undefined, count: 0 },
    lastError: undefined,
    ...change,
  };
}
