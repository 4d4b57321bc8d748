import type { JobCore } from './job-core.ts';
import type { JobParts } from './job-parts.ts';

/** Every shard is final, delivered and paid. */
export function isComplete({ board }: JobCore): boolean {
  return board.exhausted && board.shards.size === 0;
}

/**
 * Nothing is in the air any more, though there may be shards left that nobody will be asked to do. Verified ones behind
 * such a hole are not delivered, since the owner gets them in order.
 */
export function isQuiet({ core, referee }: JobParts): boolean {
  if (core.grants.size > 0 || referee.queued > 0 || core.board.waiting.size > 0) return false;
  for (const { state } of core.board.shards.values()) if (state === 'answered' || state === 'disputed') return false;
  return true;
}

/** There is work left and no money to lease it with, in any channel or in the budget. */
export function isBroke({ core, referee }: JobParts): boolean {
  const { board, paymaster } = core;
  if (paymaster.accounts.size === 0 || core.grants.size > 0 || referee.queued > 0 || board.waiting.size > 0)
    return false;
  if (board.exhausted && board.queued.size === 0) return false;
  for (const account of paymaster.accounts.values()) {
    if (paymaster.room(account) > 0 || account.due.size > 0 || account.pending > 0 || account.toppingUp) return false;
  }
  return paymaster.budgetIsDeposited;
}
