import type { LeaseRow } from '#core/ledger/provider-leases.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { joinStatement, WORK_PROTOCOL, type BodyOf } from '#shared/protocol/work-messages.ts';
import { encode } from '#shared/protocol/work-wire.ts';
import { err, ok, type Result } from '#shared/result.ts';
import type { ProviderContext } from './context.ts';
import { Engagement, resumable, type EngagementEnd } from './engagement.ts';
import { prepareModel } from './model-cache.ts';
import { PayDesk, type PayError } from './pay-desk.ts';
import type { OfferEntry } from './policy/choose-offer.ts';
import { WorkLink } from './wire/work-link.ts';

const SEAL_MS = 5000;
const OPEN_MS = 20_000;

export interface Joined {
  readonly engagement: Engagement;
  readonly resumed: readonly LeaseRow[];
  readonly desk: PayDesk;
}

/** From an offer to a conversation in which work can begin: model here, requester reached, welcome said, channel good. */
export async function join(
  context: ProviderContext,
  entry: OfferEntry,
  signal: AbortSignal,
): Promise<Result<Joined, EngagementEnd>> {
  const { network, ledger, clock } = context;
  const { offer, requester } = entry;
  const model = await prepareModel(context, entry, signal);
  if (!model.ok) return err({ outcome: 'refused', error: model.error });
  const opened = await network.open(requester, WORK_PROTOCOL, {
    timeoutMs: OPEN_MS,
    signal,
    addresses: offer.addresses,
  });
  if (!opened.ok) return err({ outcome: 'broken', error: opened.error });
  const link = new WorkLink(opened.value);
  const { resumed, returned, ids } = resumable(context, ledger.leases.open(offer.offerId));
  const dropped = ledger.leases.drop(returned, 'returned');
  const saved = ledger.leases.saveEngagement(
    { offerId: offer.offerId, requester, offer: entry.payload, channelId: undefined },
    clock.now(),
  );
  if (!dropped.ok || !saved.ok) return give(link, { outcome: 'paused', ...errorOf(dropped, saved) });
  const statement = encode(joinStatement, {
    offerId: offer.offerId,
    payee: context.chain.address,
    backend: context.placement.backend,
  });
  const sealed = await network.seal('join', statement, SEAL_MS);
  const channelId = ledger.leases.engagement(offer.offerId)?.channelId;
  const voucher = channelId === undefined ? undefined : ledger.money.newestVoucher(channelId);
  link.send({ kind: 'join', body: { sealed, leases: ids, ...(voucher === undefined ? {} : { voucher }) } });
  const welcome = await awaitWelcome(link, signal);
  if (!welcome.ok) return give(link, welcome.error);
  const desk = await checkWelcome(context, entry, welcome.value);
  if (!desk.ok) return give(link, refusal(context, entry, desk.error));
  context.emit({ type: 'work.joined', offerId: offer.offerId, peerId: requester, channelId: desk.value.channelId });
  const engagement = new Engagement(context, {
    entry,
    link,
    desk: desk.value,
    welcome: welcome.value,
    model: model.value,
  });
  return ok({ engagement, resumed, desk: desk.value });
}

async function awaitWelcome(link: WorkLink, signal: AbortSignal): Promise<Result<BodyOf<'welcome'>, EngagementEnd>> {
  const received = await link.next(LIMITS.work.welcomeMs, signal);
  if (!received.ok) return err({ outcome: 'broken', error: received.error });
  const message = received.value;
  if (message?.kind === 'welcome') return ok(message.body);
  if (message?.kind === 'finished') return err({ outcome: 'finished' });
  if (message?.kind === 'refuse') {
    const { code, message: text, retryAfterMs } = message.body;
    return err({ outcome: 'refused', error: appError(code, text), retryAfterMs });
  }
  return err({
    outcome: 'broken',
    error:
      message === undefined
        ? appError('work.not_welcomed', 'The requester ended the conversation without an answer.')
        : appError('work.message_invalid', 'The requester answered a join with something else.'),
  });
}

/** The price is the offer's, the channel is good on chain, and the voucher in the welcome is worth what it says. */
async function checkWelcome(
  context: ProviderContext,
  { offer, requester, payload }: OfferEntry,
  welcome: BodyOf<'welcome'>,
): Promise<Result<PayDesk, PayError | AppError<'work.price_changed'>>> {
  if (welcome.priceWei < offer.priceWei) {
    return err(appError('work.price_changed', 'The requester welcomed us at a lower price than it offered.'));
  }
  const terms = { channelId: welcome.channelId, requester, priceWei: welcome.priceWei };
  const desk = await PayDesk.open(context, terms);
  if (!desk.ok) return desk;
  const saved = context.ledger.leases.saveEngagement(
    { offerId: offer.offerId, requester, offer: payload, channelId: welcome.channelId },
    context.clock.now(),
  );
  if (!saved.ok) return saved;
  const { voucher } = welcome;
  if (voucher === undefined || voucher.cumulativeWei <= desk.value.heldWei) return desk;
  const accepted = await desk.value.accept(voucher);
  return accepted.ok ? desk : accepted;
}

function refusal(context: ProviderContext, { requester }: OfferEntry, error: AppError): EngagementEnd {
  if (error.code.startsWith('ledger.')) return { outcome: 'paused', error };
  if (error.code.startsWith('chain.')) return { outcome: 'broken', error };
  if (!error.code.startsWith('voucher.')) return { outcome: 'refused', error };
  context.network.report(requester, 'bad_voucher');
  return { outcome: 'refused', error, accused: true };
}

function give(link: WorkLink, end: EngagementEnd): Result<never, EngagementEnd> {
  link.abort(end.error ?? appError('work.over', 'The conversation is over.'));
  return err(end);
}

function errorOf(
  ...results: readonly Result<void, NonNullable<EngagementEnd['error']>>[]
): Pick<EngagementEnd, 'error'> {
  const failed = results.find((result) => !result.ok);
  return failed?.ok === false ? { error: failed.error } : {};
}
