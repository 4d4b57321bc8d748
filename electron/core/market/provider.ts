import type { Settlement } from '#core/chain/port.ts';
import { offer as offerType, type Offer } from '#shared/protocol/work-messages.ts';
import { decode } from '#shared/protocol/work-wire.ts';
import { isFinal } from '#shared/model/job-states.ts';
import type { ProviderEvent } from '#shared/model/events.ts';
import type { Result } from '#shared/result.ts';
import type { PeerIdText } from '#shared/units.ts';
import { DEFAULT_PROVIDER_SETTINGS, type ProviderContext, type ProviderSettings } from './context.ts';
import type { EngagementEnd, Engagement } from './engagement.ts';
import { join } from './join.ts';
import { OfferBook, type Heard } from './offer-book.ts';
import { chooseOffer, unfit, type OfferEntry } from './policy/choose-offer.ts';
import { Settler, type SettleError } from './settler.ts';

export interface ProviderOptions extends Omit<ProviderContext, 'settings' | 'emit' | 'stopping'> {
  readonly settings?: Partial<ProviderSettings>;
  readonly onEvent?: (event: ProviderEvent) => void;
}

export type ProviderState = 'stopped' | 'looking' | 'joining' | 'working' | 'paused' | 'stopping';

export interface ProviderStatus {
  readonly state: ProviderState;
  readonly offersStanding: number;
  readonly working: { readonly offerId: string; readonly requester: PeerIdText; readonly since: number } | undefined;
  /** Why nothing is being done, where that is so. */
  readonly reason: string | undefined;
}

export interface Provider {
  start(): void;
  /** Graceful: finishes what has begun, waits a little for pay, and settles. Otherwise ends at once; nothing is lost either way. */
  stop(options: { readonly graceful: boolean }): Promise<void>;
  status(): ProviderStatus;
  /** Turns every voucher held into tokens now. */
  settleNow(): Promise<Result<readonly Settlement[], SettleError>>;
}

const BACKOFF_MS = { first: 500, most: 60_000, refused: 60_000, paused: 10_000 };
/** A requester that broke the protocol or paid with a bad voucher is left alone this long, whatever it offers. */
const AVOID_MS = 10 * 60_000;
/** Leases whose requester has not been reached for this long are given up. */
const ABANDON_MS = 7 * 24 * 3_600_000;
const KEEP_LEASES_MS = 30 * 24 * 3_600_000;

/** The contributor's side of the market: hears offers, works on the best, is paid, settles. */
export function createProvider(options: ProviderOptions): Provider {
  return new ProviderAgent(options);
}

class ProviderAgent implements Provider {
  private readonly context: ProviderContext;
  private readonly book = new OfferBook();
  private readonly settler: Settler;
  private readonly stopping = new AbortController();
  private readonly backoff = new Map<string, { readonly until: number; readonly failures: number }>();
  private heard = new AbortController();
  private unsubscribe: (() => void) | undefined;
  private loop: Promise<void> | undefined;
  private engagement: Engagement | undefined;
  /** The offer that is being joined, and how to break that off when its requester has moved. */
  private joining: { readonly offerId: string; readonly moved: AbortController } | undefined;
  private state: ProviderState = 'stopped';
  private working: ProviderStatus['working'];
  private reason: string | undefined;

  constructor(options: ProviderOptions) {
    const { settings, onEvent, ...rest } = options;
    this.context = {
      ...rest,
      settings: { ...DEFAULT_PROVIDER_SETTINGS, ...settings },
      stopping: this.stopping.signal,
      emit: (event) => {
        if (event.type === 'voucher.received') this.settler.poke();
        onEvent?.({ ...event, at: rest.clock.now() });
      },
    };
    this.settler = new Settler(this.context);
  }

  start(): void {
    if (this.loop !== undefined) return;
    this.housekeeping();
    this.unsubscribe = this.context.network.subscribe('offer', (statement) => {
      const heard = this.book.hear(statement);
      if (heard !== undefined) this.consider(heard);
    });
    this.settler.start();
    this.loop = this.run();
  }

  async stop(options: { readonly graceful: boolean }): Promise<void> {
    this.state = 'stopping';
    this.unsubscribe?.();
    const { engagement } = this;
    if (engagement !== undefined) {
      if (options.graceful) await engagement.leave(this.context.settings.stopPatienceMs);
      else await engagement.abandon();
    }
    this.stopping.abort();
    await this.loop;
    if (options.graceful) await this.settler.settleNow('stopping');
    await this.settler.stop();
    this.state = 'stopped';
  }

  status(): ProviderStatus {
    return {
      state: this.state,
      offersStanding: this.book.standing(this.context.clock.now()).length,
      working: this.working,
      reason: this.reason,
    };
  }

  settleNow(): Promise<Result<readonly Settlement[], SettleError>> {
    return this.settler.settleNow();
  }

  private consider({ entry, news }: Heard): void {
    const { offerId, modelCid, priceWei, shardsOpen } = entry.offer;
    if (news === 'new') {
      this.context.emit({
        type: 'offer.seen',
        offerId,
        peerId: entry.requester,
        modelCid,
        priceWei: priceWei.toString(),
        shardsOpen,
      });
    } else {
      // It was started anew somewhere else: trying where it was is of no use.
      if (this.joining?.offerId === offerId) this.joining.moved.abort();
      if (this.backoff.get(offerId)?.until !== Infinity) this.backoff.delete(offerId);
    }
    this.heard.abort();
  }

  private async run(): Promise<void> {
    const { clock } = this.context;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      this.heard = new AbortController();
      const entry = this.choose();
      if (entry === undefined) {
        this.become('looking', 'no offer that fits this machine');
        await clock.sleep(this.nextLookMs(), AbortSignal.any([signal, this.heard.signal]));
      } else {
        const end = await this.engage(entry);
        if (!signal.aborted) await this.after(entry, end);
      }
    }
  }

  private async engage(entry: OfferEntry): Promise<EngagementEnd> {
    const { signal } = this.stopping;
    this.become('joining', undefined);
    const moved = new AbortController();
    this.joining = { offerId: entry.offer.offerId, moved };
    const joined = await join(this.context, entry, AbortSignal.any([signal, moved.signal]));
    this.joining = undefined;
    if (!joined.ok) return moved.signal.aborted ? { outcome: 'broken', retryAfterMs: 0 } : joined.error;
    const { engagement, resumed, desk } = joined.value;
    if (signal.aborted) {
      await engagement.abandon();
      return { outcome: 'left' };
    }
    this.backoff.delete(entry.offer.offerId);
    this.engagement = engagement;
    this.working = { offerId: entry.offer.offerId, requester: entry.requester, since: this.context.clock.now() };
    this.become('working', undefined);
    const end = await engagement.run(resumed);
    this.engagement = undefined;
    this.working = undefined;
    if (end.outcome === 'finished') await this.settler.closeChannel(desk.channelId);
    return end;
  }

  /** Reports how it went and keeps away from the offer for as long as that calls for. */
  private async after(entry: OfferEntry, end: EngagementEnd): Promise<void> {
    const { clock, logger, emit } = this.context;
    const { offerId } = entry.offer;
    const error = end.error === undefined ? {} : { error: end.error };
    if (end.outcome === 'paused') {
      if (end.error !== undefined) emit({ type: 'provider.paused', error: end.error });
      this.become('paused', end.error?.message);
      await clock.sleep(BACKOFF_MS.paused, this.stopping.signal);
      return;
    }
    emit({ type: 'work.ended', offerId, peerId: entry.requester, outcome: end.outcome, ...error });
    if (end.error !== undefined)
      logger.info({ code: end.error.code, offerId, peer: entry.requester }, end.error.message);
    if (end.outcome === 'finished') {
      this.backoff.set(offerId, { until: Infinity, failures: 0 });
      this.book.remove(entry);
      return;
    }
    if (end.accused === true) {
      const until = clock.now() + AVOID_MS;
      const avoided = this.context.ledger.avoid(entry.requester, until, clock.now());
      if (!avoided.ok) logger.warn({ code: avoided.error.code }, avoided.error.message);
    }
    const failures = (this.backoff.get(offerId)?.failures ?? 0) + 1;
    const growing = Math.min(BACKOFF_MS.first * 2 ** Math.min(failures - 1, 10), BACKOFF_MS.most);
    const waitMs = end.retryAfterMs ?? (end.outcome === 'refused' ? BACKOFF_MS.refused : growing);
    this.backoff.set(offerId, { until: clock.now() + waitMs, failures: end.outcome === 'broken' ? failures : 0 });
  }

  private choose(): OfferEntry | undefined {
    const { ledger, placement, settings, clock, network, pay } = this.context;
    const now = clock.now();
    const standing = this.book.standing(now);
    const unfinished = new Map(
      [...this.unfinished(), ...standing.filter((entry) => this.isCalling(entry))].map((entry) => [
        entry.offer.offerId as string,
        entry,
      ]),
    );
    const needs = {
      pay,
      backend: placement.backend,
      minPriceWei: settings.minPriceWei,
      maxModelBytes: settings.maxModelBytes,
    };
    // Of an offer both heard and remembered the one just heard comes first: its addresses are the newer ones.
    const candidates = [...standing, ...unfinished.values()].filter(
      (entry) =>
        (this.backoff.get(entry.offer.offerId)?.until ?? 0) <= now &&
        (unfinished.has(entry.offer.offerId) || unfit(entry, needs, now) === undefined) &&
        entry.requester !== network.peerId &&
        !network.isBanned(entry.requester) &&
        ledger.avoidUntil(entry.requester) <= now,
    );
    const shardMs = (offer: Offer) => ledger.shardMs(offer.modelDigest, placement.backend);
    return chooseOffer(candidates, { shardMs, unfinished: new Set(unfinished.keys()) });
  }

  /** Offers with work done for them that nobody has judged or paid yet: they are owed a visit, standing or not. */
  private unfinished(): readonly OfferEntry[] {
    return this.context.ledger.leases.unfinishedEngagements().flatMap(({ offer, requester }) => {
      const parsed = decode(offerType, offer);
      return parsed.ok ? [{ offer: parsed.value, requester, payload: offer }] : [];
    });
  }

  /** A job that is closing calls those it has channels with: to take their last pay, and to close. */
  private isCalling({ offer }: OfferEntry): boolean {
    if (offer.shardsOpen > 0) return false;
    const { leases, money } = this.context.ledger;
    const channelId = leases.engagement(offer.offerId)?.channelId;
    return channelId !== undefined && money.channel(channelId)?.state === 'open';
  }

  private nextLookMs(): number {
    const now = this.context.clock.now();
    let next = now + 5000;
    for (const { until } of this.backoff.values()) if (until > now) next = Math.min(next, until);
    return next - now;
  }

  private become(state: ProviderState, reason: string | undefined): void {
    if (this.state !== 'stopping') this.state = state;
    this.reason = reason;
  }

  private housekeeping(): void {
    const { ledger, clock, logger } = this.context;
    const now = clock.now();
    const lost = ledger.leases
      .open()
      .filter(({ expiresAt, state }) => expiresAt + ABANDON_MS < now && !isFinal('lease', state));
    const returned = lost.filter(({ state }) => state === 'granted' || state === 'running');
    const abandoned = lost.filter(({ state }) => state !== 'granted' && state !== 'running');
    for (const done of [
      ledger.leases.drop(returned, 'returned'),
      ledger.leases.drop(abandoned, 'abandoned'),
      ledger.leases.prune(now - KEEP_LEASES_MS),
    ]) {
      if (!done.ok) logger.warn({ code: done.error.code }, done.error.message);
    }
  }
}
