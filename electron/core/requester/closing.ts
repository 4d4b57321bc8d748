import { createHash } from 'node:crypto';
import type { Channel } from '#core/chain/port.ts';
import type { PayerChannel } from '#core/ledger/requester-channels.ts';
import { wei, type Hex, type Wei } from '#shared/units.ts';
import type { RequesterContext } from './context.ts';

const LOOK_MS = 200;
/** A payee that has all it was promised and left has no reason to come back; one that is there closes well before. */
const PAID_GRACE_MS = 3000;

/**
 * Ends a job's channels: waits a while for each payee to settle and close, gives feedback where there was pay, and asks
 * the chain to close what nobody closed. Answers what was settled on chain.
 */
export async function closeChannels(context: RequesterContext, jobId: string, signal: AbortSignal): Promise<Wei> {
  const channels = context.ledger.channels.ofJob(jobId);
  const settled = await Promise.all(channels.map((channel) => closeOne(context, channel, signal)));
  return wei(settled.reduce<bigint>((sum, amount) => sum + amount, 0n));
}

/** Takes back deposits whose notice has run out, also of jobs of earlier runs. Called at start and now and then. */
export async function watchChannels(context: RequesterContext, signal: AbortSignal): Promise<void> {
  const { chain, clock, ledger } = context;
  for (const channel of ledger.channels.unclosed()) {
    if (signal.aborted) return;
    if (channel.state !== 'closing' || channel.channelId === undefined) continue;
    const found = await chain.channels.get(channel.channelId);
    if (!found.ok) continue;
    if (found.value.closed === true) ledger.channels.move(channel, 'closed');
    else if (found.value.closeAt !== undefined && found.value.closeAt * 1000 <= clock.now()) {
      const refunded = await chain.channels.refund(channel.channelId);
      if (refunded.ok) ledger.channels.move(channel, 'closed');
      else
        context.logger.warn(
          { code: refunded.error.code, ...refunded.error.data },
          'a deposit could not be taken back yet',
        );
    }
  }
}

async function closeOne(context: RequesterContext, channel: PayerChannel, signal: AbortSignal): Promise<Wei> {
  const { ledger } = context;
  if (channel.channelId === undefined) return wei(0n);
  const found = await untilPaidOut(context, { ...channel, channelId: channel.channelId }, signal);
  if (found === undefined) return wei(0n);
  const { settledWei } = found;
  context.emit({
    type: 'channel.settled',
    at: context.clock.now(),
    jobId: channel.jobId,
    peerId: channel.peer,
    channelId: found.channelId,
    settledWei: settledWei.toString(),
  });
  if (settledWei > 0n && channel.feedback === 'none') await giveFeedback(context, channel, found.channelId);
  if (channel.state === 'closed' || signal.aborted) return settledWei;
  if (found.closed === true) ledger.channels.move(channel, 'closed');
  else await giveNotice(context, channel, found.channelId);
  return settledWei;
}

/** The channel as it is once its payee has closed it, or when patience ends. */
async function untilPaidOut(
  context: RequesterContext,
  channel: PayerChannel & { readonly channelId: Hex },
  signal: AbortSignal,
): Promise<Channel | undefined> {
  const { chain, clock, settings } = context;
  let deadline = clock.now() + settings.closePatienceMs;
  let paidOut = false;
  let last: Channel | undefined;
  for (;;) {
    const found = await chain.channels.get(channel.channelId);
    if (found.ok) last = found.value;
    if (!paidOut && last !== undefined && last.settledWei > 0n && last.settledWei >= channel.cumulativeWei) {
      paidOut = true;
      deadline = Math.min(deadline, clock.now() + PAID_GRACE_MS);
    }
    if (last?.closed === true || signal.aborted || clock.now() >= deadline) return last;
    await clock.sleep(LOOK_MS, signal);
  }
}

/** At most once: that it is being sent is stored first, so a crash loses a feedback rather than giving two. */
async function giveFeedback(context: RequesterContext, channel: PayerChannel, channelId: Hex): Promise<void> {
  const { chain, ledger, clock } = context;
  const judged = channel.accepted + channel.refused;
  const value = judged === 0 ? 0 : Math.round((100 * channel.accepted) / judged);
  if (!ledger.channels.setFeedback(channel.reference, 'sending').ok) return;
  const given = await chain.reputation.giveFeedback({
    agentId: channel.agentId,
    value,
    tag: 'inference',
    channelId,
    evidence: evidenceOf(ledger.doneStatements(channel.jobId, channel.peer)),
  });
  if (!given.ok) {
    context.logger.warn({ code: given.error.code, ...given.error.data }, 'feedback could not be given');
    // Refused before anything was sent or mined, so it may be tried again; a timeout leaves that open.
    if (given.error.code !== 'chain.timeout') ledger.channels.setFeedback(channel.reference, 'none');
    return;
  }
  ledger.channels.setFeedback(channel.reference, 'given');
  context.emit({
    type: 'feedback.given',
    at: clock.now(),
    jobId: channel.jobId,
    peerId: channel.peer,
    agentId: channel.agentId.toString(),
    value,
    transactionHash: given.value,
  });
}

async function giveNotice(context: RequesterContext, channel: PayerChannel, channelId: Hex): Promise<void> {
  const { chain, ledger } = context;
  const asked = await chain.channels.requestClose(channelId);
  if (!asked.ok) {
    context.logger.warn(
      { code: asked.error.code, ...asked.error.data },
      'notice to close a channel could not be given',
    );
    return;
  }
  const found = await chain.channels.get(channelId);
  ledger.channels.move(channel, 'closing', found.ok ? found.value.closeAt : undefined);
}

/** Hash over the provider's signed statements, in the order of their leases. */
function evidenceOf(statements: readonly Uint8Array[]): Hex {
  const hash = createHash('sha256');
  for (const statement of statements) hash.update(statement);
  return `0x${hash.digest('hex')}`;
}
