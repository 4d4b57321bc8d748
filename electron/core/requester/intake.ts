import { digestTensors } from '#core/market/wire/digest.ts';
import { tensorsOfPayload } from '#core/market/wire/payload.ts';
import type { LinkError } from '#core/market/wire/work-link.ts';
import type { AnswerRow } from '#core/ledger/requester-jobs.ts';
import type { JobChange } from '#core/ledger/requester-ledger.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { BodyOf, LeaseId, ResultItem, TensorLayout, VerdictItem } from '#shared/protocol/work-messages.ts';
import { checkLayout, layoutBytes, payloadBytes } from '#shared/protocol/work-tensors.ts';
import { compareOutputs } from '#shared/model/compare-tensors.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { err, ok, type Result } from '#shared/result.ts';
import type { Sha256Hex } from '#shared/units.ts';
import { isRuled, openAnswers, type BoardAnswer, type BoardShard } from './board.ts';
import type { JobCore } from './job-core.ts';
import { decideCheck } from './policy/check-policy.ts';
import { rulePair, sameAnswer, Step } from './ruling.ts';
import type { Session } from './session.ts';

interface Answered {
  readonly item: ResultItem;
  readonly digest: Sha256Hex;
  readonly layout: TensorLayout;
  readonly outputs: NamedTensors;
  readonly bytes: number;
}

/** Shards that so many different leases could not compute are looked at by the referee. */
const MOST_FAILURES = 3;

/** Takes in results: reads and checks their bytes, rules what can be ruled at once, stores, and answers. */
export class Intake {
  private readonly core: JobCore;
  /** Shards that only the referee can decide. */
  private readonly toReferee: (shard: BoardShard) => void;

  constructor(core: JobCore, toReferee: (shard: BoardShard) => void) {
    this.core = core;
    this.toReferee = toReferee;
  }

  /** An error here is the peer's breach of the protocol. */
  async take(session: Session, message: BodyOf<'results'>): Promise<Result<void, LinkError | AppError>> {
    const known = this.core.grants.get(message.leaseId) ?? this.core.context.ledger.grant(message.leaseId);
    const layouts = checkedLayouts(message);
    if (!layouts.ok) return layouts;
    const payload = await session.link.payload(layouts.value);
    if (!payload.ok) return payload;
    const tensors = tensorsOfPayload(layouts.value, payload.value);
    const leased = this.core.grants.get(message.leaseId);
    if (known?.peer !== session.peer) {
      this.refuseAll(session, message, 'work.lease_unknown');
      return ok();
    }
    const good: Answered[] = [];
    const failed: ResultItem[] = [];
    let at = 0;
    for (const item of message.items) {
      if (item.code !== '') {
        failed.push(item);
        continue;
      }
      const layout = layouts.value[at];
      const parts = payload.value[at] ?? [];
      const outputs = tensors[at];
      at += 1;
      if (layout === undefined || outputs === undefined || item.digest === undefined)
        return err(invalid('a result without outputs'));
      if (digestTensors(layout, parts) !== item.digest)
        return err(invalid('outputs that do not have the digest they came with'));
      good.push({ item, digest: item.digest, layout, outputs, bytes: layoutBytes(layout) });
    }
    this.store(session, message.leaseId, leased === undefined, good, failed);
    return ok();
  }

  private store(
    session: Session,
    leaseId: LeaseId,
    isLate: boolean,
    good: readonly Answered[],
    failed: readonly ResultItem[],
  ): void {
    const { core } = this;
    const step = new Step();
    const verdicts: VerdictItem[] = [];
    const toReferee: BoardShard[] = [];
    const grant = core.grants.get(leaseId);
    const stale: number[] = [];
    for (const answered of good) {
      const shard = core.board.shards.get(answered.item.index);
      const isNew = shard !== undefined && !shard.answers.has(session.peer);
      if (!isNew || (!shard.holders.has(session.peer) && !this.isWelcomeLate(session, shard))) {
        stale.push(answered.item.index);
        continue;
      }
      this.admit(step, session, leaseId, shard, answered, toReferee);
      grant?.left.delete(shard.index);
    }
    for (const item of failed) {
      verdicts.push({ index: item.index, outcome: 'refused', code: item.code });
      this.failedItem(step, session, item, toReferee);
      grant?.left.delete(item.index);
    }
    verdicts.push(...this.oldVerdicts(session, stale, isLate));
    const isDone = grant?.left.size === 0;
    const extra: JobChange = isDone ? { grantMoves: [{ leaseId, from: 'open', to: 'answered' }] } : {};
    if (isDone) core.grants.delete(leaseId);
    if (!core.commit(step, extra)) return;
    for (const { item, bytes } of good) {
      const { index, computeMicros } = item;
      core.emit({
        type: 'shard.answered',
        shard: index,
        peerId: session.peer,
        backend: session.backend,
        ms: computeMicros / 1000,
        bytes,
      });
    }
    if (verdicts.length > 0) session.link.send({ kind: 'verdicts', body: { leaseId, items: verdicts } });
    session.errors = good.length > 0 ? 0 : session.errors + failed.length;
    for (const shard of toReferee) this.toReferee(shard);
  }

  private admit(
    step: Step,
    session: Session,
    leaseId: LeaseId,
    shard: BoardShard,
    { item, digest, layout, outputs }: Answered,
    toReferee: BoardShard[],
  ): void {
    const { core } = this;
    const { peer, backend, account } = session;
    if (shard.holders.delete(peer)) account.leased -= 1;
    core.board.queued.delete(shard.index);
    account.pending += 1;
    const answer: BoardAnswer = { peer, leaseId, state: 'received', digest, backend, outputs };
    shard.answers.set(peer, answer);
    const row: { -readonly [K in keyof AnswerRow]: AnswerRow[K] } = {
      index: shard.index,
      peer,
      leaseId,
      state: 'received',
      code: '',
      digest,
      backend,
      computeMicros: item.computeMicros,
    };
    step.newAnswers.push(row);
    if (isRuled(shard)) {
      this.judgeLate(step, shard, answer);
      return;
    }
    this.enter(step, shard, answer, layout, toReferee);
  }

  /** First or second answer to a shard that is still open. */
  private enter(
    step: Step,
    shard: BoardShard,
    answer: BoardAnswer,
    layout: TensorLayout,
    toReferee: BoardShard[],
  ): void {
    const { core } = this;
    const { streak } = core.standing(answer.peer, answer.backend);
    const decision = decideCheck(core.terms.checks, streak, core.context.random());
    const other = openAnswers(shard).find(({ peer }) => peer !== answer.peer);
    const isAssigned = shard.state === 'assigned';
    const { outputs } = answer;
    if (outputs === undefined) throw new Error('an answer that just came has no outputs');
    if (other !== undefined && shard.state === 'answered') {
      core.hydrate(shard);
      if (!rulePair(step, shard, [other, answer], core.terms.tolerance)) {
        step.keep(shard, answer.peer, outputs, layout);
        toReferee.push(shard);
      }
      return;
    }
    step.keep(shard, answer.peer, outputs, layout);
    if (shard.state === 'disputed') return;
    if (decision === 'trust' && isAssigned) {
      step.rule(shard, answer, 'trusted', '', false);
      step.verify(shard, 'trusted', answer.peer, outputs);
      return;
    }
    if (shard.state === 'queued') step.move(shard, 'assigned');
    step.move(shard, 'answered');
    shard.waitingSince = core.context.clock.now();
    if (shard.holders.size === 0 && !shard.refereed) core.board.waiting.add(shard.index);
    if (decision === 'referee') toReferee.push(shard);
  }

  /** The shard was ruled while this peer still worked on it: right work is paid, wrong work is not. */
  private judgeLate(step: Step, shard: BoardShard, answer: BoardAnswer): void {
    const right = shard.outputs ?? this.core.context.ledger.outputs(this.core.jobId, shard.index, shard.source ?? '');
    const source = shard.answers.get(shard.source as typeof answer.peer);
    const isRight =
      shard.state === 'verified' &&
      ((source !== undefined && sameAnswer(source, answer, this.core.terms.tolerance)) ||
        (right !== undefined &&
          answer.outputs !== undefined &&
          compareOutputs(right, answer.outputs, this.core.terms.tolerance).equal));
    // Only the referee's word makes a lie of it.
    const isLie = !isRight && shard.refereed;
    step.rule(
      shard,
      answer,
      isRight ? 'agreed' : 'refused',
      isRight ? '' : isLie ? 'work.deviant' : 'work.late',
      isRight || isLie,
    );
    step.settle(shard);
  }

  private failedItem(step: Step, session: Session, item: ResultItem, toReferee: BoardShard[]): void {
    const { board } = this.core;
    const shard = board.shards.get(item.index);
    if (shard?.holders.has(session.peer) !== true) return;
    session.account.leased -= 1;
    shard.failedAt.add(session.peer);
    shard.failures += 1;
    const isIdle = board.release(shard, session.peer);
    step.settle(shard);
    if (!isIdle) return;
    step.move(shard, 'queued', { failures: shard.failures });
    if (shard.failures >= MOST_FAILURES) toReferee.push(shard);
    else board.queued.add(shard.index);
    this.core.emit({ type: 'shard.refused', shard: item.index, peerId: session.peer, code: item.code });
  }

  /** A lease that ran out while the answer was on its way: taken if it still helps and can be paid. */
  private isWelcomeLate(session: Session, shard: BoardShard): boolean {
    return !isRuled(shard) && this.core.paymaster.room(session.account) >= 1;
  }

  /** What was ruled on results that are sent again, because the verdict was lost; or that they come too late. */
  private oldVerdicts(session: Session, indices: readonly number[], isLate: boolean): VerdictItem[] {
    if (indices.length === 0) return [];
    const answers = this.core.context.ledger.answersOf(this.core.jobId, session.peer, indices);
    return indices.flatMap((index): VerdictItem[] => {
      const answer = answers.get(index);
      if (answer === undefined) return [{ index, outcome: 'refused', code: isLate ? 'work.late' : 'work.not_leased' }];
      if (answer.state === 'received') return [];
      return [{ index, outcome: answer.state === 'refused' ? 'refused' : 'accepted', code: answer.code }];
    });
  }

  private refuseAll(session: Session, { leaseId, items }: BodyOf<'results'>, code: string): void {
    session.link.send({
      kind: 'verdicts',
      body: { leaseId, items: items.map(({ index }) => ({ index, outcome: 'refused', code })) },
    });
  }
}

/** The layout of each result with outputs, in order. */
function checkedLayouts(message: BodyOf<'results'>): Result<readonly TensorLayout[], LinkError> {
  for (const layout of message.layouts) {
    const checked = checkLayout(layout, LIMITS.shard.outputBytes);
    if (!checked.ok) return checked;
  }
  const layouts: TensorLayout[] = [];
  for (const { code, layout } of message.items) {
    if (code !== '') continue;
    const found = message.layouts[layout];
    if (found === undefined) return err(invalid('a result whose layout is not there'));
    layouts.push(found);
  }
  const fits = layouts.length <= 1 || payloadBytes(layouts) <= LIMITS.work.payloadBytes;
  return fits ? ok(layouts) : err(invalid('results that are too large together'));
}

function invalid(what: string): LinkError {
  return appError('work.message_invalid', `The other side sent ${what}.`);
}
