import { beforeEach, describe, expect, it } from 'vitest';
import { Scores } from '#core/network/peers/scores.ts';
import type { PeerRecord } from '#core/network/peers/scores.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { peerIdText } from '#shared/units.ts';
import type { PeerIdText } from '#shared/units.ts';

const peer = peerIdText('liar');
const { firstBanMs, banForgottenMs, halfLifeMs, longestBanMs } = LIMITS.score;

describe('scores', () => {
  let now: number;
  let banned: { peer: PeerIdText; untilMs: number }[];
  let saved: PeerRecord[];
  let scores: Scores;
  const start = (records: readonly PeerRecord[] = []): Scores =>
    new Scores({
      now: () => now,
      store: { load: () => records, save: (record) => saved.push(record) },
      onBan: (who, untilMs) => banned.push({ peer: who, untilMs }),
    });
  const ban = (): void => {
    scores.report(peer, 'wrong_result');
    scores.report(peer, 'wrong_result');
  };

  beforeEach(() => {
    now = 1_000_000;
    banned = [];
    saved = [];
    scores = start();
  });

  it('start at zero and fall with each misdeed by its price', () => {
    expect(scores.score(peer)).toBe(0);
    scores.report(peer, 'invalid_message');
    scores.report(peer, 'broken_lease');
    expect(scores.score(peer)).toBe(-30);
    expect(scores.isBanned(peer)).toBe(false);
  });

  it('recover by half in each half-life and in the end whole', () => {
    scores.report(peer, 'wrong_bytes');
    now += halfLifeMs;
    expect(scores.score(peer)).toBe(-25);
    now += 20 * halfLifeMs;
    expect(scores.score(peer)).toBe(0);
  });

  it('ban at the threshold, tell once, and let the peer start anew afterwards', () => {
    ban();
    expect(scores.isBanned(peer)).toBe(true);
    scores.report(peer, 'wrong_result');
    scores.report(peer, 'wrong_result');
    expect(banned).toEqual([{ peer, untilMs: now + firstBanMs }]);
    now += firstBanMs;
    expect(scores.isBanned(peer)).toBe(false);
  });

  it('double the ban each time, up to the longest', () => {
    const lengths: number[] = [];
    for (let round = 0; round < 12; round += 1) {
      ban();
      const { untilMs } = banned.at(-1) ?? { untilMs: 0 };
      lengths.push(untilMs - now);
      now = untilMs;
    }
    expect(lengths.slice(0, 3)).toEqual([firstBanMs, firstBanMs * 2, firstBanMs * 4]);
    expect(lengths.at(-1)).toBe(longestBanMs);
  });

  it('forget one ban for each quiet period', () => {
    ban();
    now += firstBanMs;
    ban();
    now += firstBanMs * 2 + banForgottenMs;
    ban();
    expect(banned.at(-1)?.untilMs).toBe(now + firstBanMs * 2);
    now += firstBanMs * 2 + 5 * banForgottenMs;
    ban();
    expect(banned.at(-1)?.untilMs).toBe(now + firstBanMs);
  });

  it('survive a restart through the store', () => {
    ban();
    const last = saved.at(-1);
    expect(last).toBeDefined();
    scores = start(last === undefined ? [] : [last]);
    expect(scores.isBanned(peer)).toBe(true);
  });

  it('remember a bounded number of peers and never drop a running ban for a smaller sin', () => {
    ban();
    for (let index = 0; index < LIMITS.score.rememberedPeers + 10; index += 1) {
      scores.report(peerIdText(`peer ${index}`), 'invalid_message');
    }
    expect(scores.isBanned(peer)).toBe(true);
    expect(scores.score(peerIdText('peer 0'))).toBe(0);
    expect(scores.score(peerIdText(`peer ${LIMITS.score.rememberedPeers}`))).toBe(-10);
  });
});
