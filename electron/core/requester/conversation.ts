import type { Conversation, Misdeed } from '#core/network/port.ts';
import { WorkLink } from '#core/market/wire/work-link.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import {
  joinStatement,
  type BodyOf,
  type JoinStatement,
  type OfferId,
  type WorkMessage,
} from '#shared/protocol/work-messages.ts';
import { decode } from '#shared/protocol/work-wire.ts';
import { err, ok, type Result } from '#shared/result.ts';
import type { RequesterContext } from './context.ts';
import type { JobRun } from './job-run.ts';
import type { Session } from './session.ts';

/** When a refused node may ask again: soon where the chain was away, later where something has to be done about it. */
const RETRY_MS = { chain: 2000, other: 15_000 };

/** One provider's conversation: join, then whatever it says, until it ends or breaks the protocol. */
export async function converse(
  context: RequesterContext,
  conversation: Conversation,
  jobOf: (offerId: OfferId) => JobRun | undefined,
): Promise<void> {
  const link = new WorkLink(conversation);
  const hello = await receiveJoin(context, link);
  if (!hello.ok) {
    if (hello.error !== undefined) accuse(context, link, hello.error);
    return;
  }
  if (context.stopping.aborted) {
    link.abort(appError('work.stopped', 'The requester is stopping.'));
    return;
  }
  const { join, statement } = hello.value;
  const run = jobOf(statement.offerId);
  if (run === undefined) {
    refuse(link, appError('work.offer_unknown', 'This node has no such offer, or no more.'), 10 * 60_000);
    return;
  }
  const session = await welcome(run, link, join, statement);
  if (!session.ok) {
    run.core.emit({ type: 'peer.refused', peerId: link.peer, error: session.error });
    refuse(link, session.error, session.error.code.startsWith('chain.') ? RETRY_MS.chain : RETRY_MS.other);
    return;
  }
  await listen(context, run, session.value);
  run.detach(session.value);
}

async function receiveJoin(
  context: RequesterContext,
  link: WorkLink,
): Promise<Result<{ readonly join: BodyOf<'join'>; readonly statement: JoinStatement }, AppError | undefined>> {
  const received = await link.next(LIMITS.work.helloMs);
  if (!received.ok) return err(received.error.code === 'work.message_invalid' ? received.error : undefined);
  if (received.value?.kind !== 'join')
    return err(appError('work.message_invalid', 'The first message was not a join.'));
  const join = received.value.body;
  const verified = await context.network.unseal('join', join.sealed);
  if (!verified.ok) return verified;
  if (verified.value.sender !== link.peer)
    return err(appError('work.message_invalid', 'The join is signed by somebody else.'));
  const statement = decode(joinStatement, verified.value.payload);
  return statement.ok ? ok({ join, statement: statement.value }) : statement;
}

/** Identity and channel on chain, then the welcome with the newest voucher. */
async function welcome(
  run: JobRun,
  link: WorkLink,
  join: BodyOf<'join'>,
  statement: JoinStatement,
): Promise<Result<Session, AppError>> {
  const { core } = run;
  const { context, terms } = core;
  if (!terms.backends.includes(statement.backend))
    return err(appError('work.backend_refused', 'This job is not for that backend.'));
  const account = await core.paymaster.open(link.peer, statement.payee);
  if (!account.ok) return account;
  if (context.stopping.aborted) return err(appError('work.stopped', 'The requester is stopping.'));
  if (join.voucher !== undefined) {
    const adopted = core.paymaster.adopt(account.value, join.voucher);
    if (!adopted.ok) return adopted;
  }
  // The ledger may have failed meanwhile, and the job's parts be made anew.
  if (run.core !== core) return err(appError('work.interrupted', 'The requester has to pause.'));
  const session: Session = {
    peer: link.peer,
    link,
    backend: statement.backend,
    account: account.value,
    parked: [],
    errors: 0,
    saidLeave: false,
    serving: false,
  };
  const { channelId } = account.value.channel;
  if (channelId === undefined) throw new Error('an open channel has no id');
  run.attach(session, join.leases, () => {
    const { voucher } = session.account.channel;
    link.send({
      kind: 'welcome',
      body: {
        channelId,
        priceWei: terms.priceWei,
        leaseSeconds: context.settings.leaseSeconds,
        maxShardsPerLease: context.settings.maxShardsPerLease,
        ...(voucher === undefined ? {} : { voucher }),
      },
    });
  });
  return ok(session);
}

async function listen(context: RequesterContext, run: JobRun, session: Session): Promise<void> {
  for (;;) {
    const received = await session.link.next(silenceMs(context));
    if (!received.ok) {
      if (received.error.code === 'work.message_invalid') accuse(context, session.link, received.error);
      return;
    }
    if (received.value === undefined) return;
    const handled = await handle(context, run, session, received.value);
    if (!handled.ok) {
      if (handled.error !== undefined) accuse(context, session.link, handled.error);
      return;
    }
    if (session.saidLeave) {
      await session.link.close();
      return;
    }
  }
}

/** A peer at work says nothing for as long as its lease may last. */
function silenceMs(context: RequesterContext): number {
  return context.settings.leaseSeconds * 2000 + LIMITS.work.silenceMs;
}

async function handle(
  context: RequesterContext,
  run: JobRun,
  session: Session,
  message: WorkMessage,
): Promise<Result<void, AppError | undefined>> {
  switch (message.kind) {
    case 'want':
      if (message.body.maxShards < 1) return err(appError('work.message_invalid', 'A want of nothing.'));
      if (session.parked.length >= LIMITS.work.leasesInFlight * 2)
        return err(appError('work.flooded', 'More wants than may be open.'));
      run.want(session, message.body.maxShards);
      return ok();
    case 'results':
      return run.results(session, message.body);
    case 'leaseDone': {
      const verified = await context.network.unseal('lease-done', message.body.sealed);
      if (!verified.ok) return verified;
      if (context.stopping.aborted) return err(undefined);
      if (verified.value.sender !== session.peer)
        return err(appError('work.message_invalid', 'A statement is signed by somebody else.'));
      return run.leaseDone(message.body.leaseId, session, verified.value.payload);
    }
    case 'voucherAck':
      return ok();
    case 'leave':
      session.saidLeave = true;
      return ok();
    default:
      return err(appError('work.message_invalid', `A ${message.kind} message came out of turn.`));
  }
}

function accuse(context: RequesterContext, link: WorkLink, error: AppError): void {
  const misdeed = misdeedOf(error);
  if (misdeed !== undefined) context.network.report(link.peer, misdeed);
  context.logger.info({ peer: link.peer, code: error.code }, error.message);
  link.abort(error);
}

/** The connection's failures and a wrong clock are nobody's misdeed; the network charges its framing itself. */
function misdeedOf({ code }: AppError): Misdeed | undefined {
  if (code === 'network.too_many' || code === 'work.flooded') return 'too_much';
  if (code === 'network.statement_invalid' || code === 'network.statement_replayed') return 'invalid_message';
  return code.startsWith('network.') ? undefined : 'invalid_message';
}

function refuse(link: WorkLink, error: AppError, retryAfterMs: number): void {
  link.send({ kind: 'refuse', body: { code: error.code, message: error.message.slice(0, 500), retryAfterMs } });
  void link.close();
}
