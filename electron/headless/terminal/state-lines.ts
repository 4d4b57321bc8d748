import pc from 'picocolors';
import type { AgentState } from '#shared/model/state.ts';
import { formatDuration, formatTokensShort, shorten } from '#shared/text/format.ts';
import { facts } from './table.ts';

const PHASES: Readonly<Record<AgentState['phase'], string>> = {
  starting: 'Starting',
  looking: 'Looking for work',
  joining: 'Joining a requester',
  working: 'Working',
  paused: 'Paused',
  stopping: 'Stopping',
  stopped: 'Stopped',
};

/** The agent's state as a person reads it: what runs, for whom, what came of it, what it earned. */
export function stateLines(state: AgentState, now: number): string {
  return facts([
    ['Now', nowLine(state, now)],
    ['Device', `${state.device.name} (${state.device.backend})`],
    ['Shards', shardsLine(state)],
    ['Earned', moneyLine(state)],
    [
      'Reputation',
      state.reputation.score === undefined
        ? 'none yet'
        : `${Math.round(state.reputation.score)} of 100, from ${state.reputation.count} requesters`,
    ],
    ['Network', networkLine(state)],
  ]);
}

function nowLine(state: AgentState, now: number): string {
  const { work } = state;
  if (work === undefined) {
    return [PHASES[state.phase], state.reason].filter((part) => part !== undefined).join(': ');
  }
  const parts = [
    `${PHASES[state.phase]} for ${pc.cyan(shorten(work.requester, 8, 6))}`,
    `${work.shardsDone} shards, ${work.leaseShards} at a time`,
    ...(work.lastShardMs === undefined ? [] : [`${formatDuration(work.lastShardMs)} each`]),
    `since ${formatDuration(Math.max(0, now - work.since))}`,
  ];
  return parts.join(' · ');
}

function shardsLine({ shards }: AgentState): string {
  return [
    `${pc.green(String(shards.accepted))} verified`,
    `${shards.computed} computed`,
    shards.refused === 0 ? undefined : pc.red(`${shards.refused} refused`),
    shards.failed === 0 ? undefined : pc.red(`${shards.failed} failed`),
  ]
    .filter((part) => part !== undefined)
    .join(' · ');
}

function moneyLine({ money, token }: AgentState): string {
  const amount = (wei: bigint): string => formatTokensShort(wei, token.decimals);
  const earned = BigInt(money.earnedWei);
  const settled = BigInt(money.settledWei);
  const pending = earned > settled ? earned - settled : 0n;
  return `${pc.bold(`${amount(earned)} ${token.symbol}`)} · ${amount(settled)} settled on chain · ${amount(pending)} pending`;
}

function networkLine({ network }: AgentState): string {
  const peers = network.peers === 1 ? '1 peer' : `${network.peers} peers`;
  return [peers, network.reason].filter((part) => part !== '').join(' · ');
}
