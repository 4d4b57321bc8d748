import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { AgentState } from '#shared/model/state.ts';
import { agentState, PEER } from '#support/agent-state.ts';
import { stateLines } from '../../../electron/headless/terminal/state-lines.ts';

function lines(change: Partial<AgentState>): string {
  return stripVTControlCharacters(stateLines(agentState(change), 61_000));
}

describe('the agent state in words', () => {
  it('says for whom it works, what came of it, and what it earned', () => {
    const text = lines({
      phase: 'working',
      work: {
        requester: PEER,
        offerId: 'o',
        modelCid: undefined,
        since: 1000,
        leaseShards: 8,
        shardsDone: 40,
        lastShardMs: 12,
      },
      shards: { computed: 40, accepted: 38, refused: 2, failed: 0 },
      money: { earnedWei: '3000000000000000000', settledWei: '1000000000000000000', lastTransaction: undefined },
    });
    expect(text).toMatch(/Now +Working for .* · 40 shards, 8 at a time/);
    expect(text).toMatch(/Shards +38 verified · 40 computed · 2 refused\n/);
    expect(text).toMatch(/Earned +3\S* HEAT · 1\S* settled on chain · 2\S* pending/);
  });

  it('says why it does not work', () => {
    expect(lines({ phase: 'paused', reason: 'The disk is full.' })).toMatch(/Now +Paused: The disk is full\./);
  });

  it('never shows less than nothing pending: the chain may know of pay before this ledger does', () => {
    const money = { earnedWei: '0', settledWei: '1000000000000000000', lastTransaction: undefined };
    expect(lines({ money })).toMatch(/· 0\S* pending/);
  });
});
