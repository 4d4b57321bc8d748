import { describe, expect, it } from 'vitest';
import { Inbox } from '#core/network/stream/inbox.ts';
import { frameCost } from '#core/network/stream/frames.ts';
import { WindowBudget } from '#core/network/stream/window-budget.ts';
import { LIMITS } from '#shared/protocol/limits.ts';

const { initialWindowBytes, maxWindowBytes } = LIMITS.conversation;
const frame = { kind: 'data', body: new Uint8Array(LIMITS.frame.dataBytes) } as const;
const cost = frameCost(frame.body.byteLength);

function start(budgetBytes: number): { inbox: Inbox; budget: WindowBudget; granted: () => number } {
  let granted = 0;
  const budget = new WindowBudget(budgetBytes);
  const inbox = new Inbox({
    budget,
    grant: (bytes) => (granted += bytes),
    onSilence: () => ({ code: 'network.timeout', message: 'silence' }),
  });
  return { inbox, budget, granted: () => granted };
}
async function pass(inbox: Inbox, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    expect(inbox.admit(frame.body.byteLength)).toBeUndefined();
    inbox.push(frame);
    expect(await inbox.take(1000, undefined)).toEqual({ ok: true, value: frame });
  }
}

describe('an inbox', () => {
  it('grants what was read, so that the peer may always send one more frame', async () => {
    const { inbox, granted } = start(0);
    await pass(inbox, 50);
    expect(granted()).toBe(50 * cost);
  });

  it('widens the window of a reader that keeps up, within the bound and the shared budget', async () => {
    const { inbox, budget, granted } = start(100 * maxWindowBytes);
    await pass(inbox, 50);
    expect(granted() - 50 * cost).toBe(maxWindowBytes - initialWindowBytes);
    inbox.finish({ ok: true, value: undefined });
    expect(budget.take(100 * maxWindowBytes)).toBe(true);
  });

  it('keeps the window where the reader lags behind or the budget is spent', async () => {
    const { inbox, granted } = start(initialWindowBytes - 1);
    await pass(inbox, 50);
    expect(granted()).toBe(50 * cost);
    const lagging = start(100 * maxWindowBytes);
    lagging.inbox.admit(frame.body.byteLength);
    lagging.inbox.push(frame);
    for (let index = 0; index < 20; index += 1) {
      lagging.inbox.admit(1000);
      lagging.inbox.push({ kind: 'data', body: new Uint8Array(1000) });
    }
    await lagging.inbox.take(1000, undefined);
    expect(lagging.granted()).toBe(cost);
  });

  it('refuses a second reader: that is a fault of ours', async () => {
    const { inbox } = start(0);
    const waiting = inbox.take(1000, undefined);
    expect(() => inbox.take(1000, undefined)).toThrow(/another receive/);
    inbox.finish({ ok: true, value: undefined });
    expect(await waiting).toEqual({ ok: true, value: undefined });
  });
});
