import { compareOutputs } from '#shared/model/compare-tensors.ts';
import type { JobCheck } from '#shared/model/job.ts';
import type { AnswerState, ShardState } from '#shared/model/job-states.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { layoutOf, payloadOf } from '#shared/protocol/work-tensors.ts';
import type { LeaseId, TensorLayout, VerdictItem } from '#shared/protocol/work-messages.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { JobChange, ShardMove } from '#core/ledger/requester-ledger.ts';
import { acceptedAnswers, openAnswers, type BoardAnswer, type BoardShard } from './board.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] | undefined ? E[] : T[K] };

export type Lie = { readonly answer: BoardAnswer; readonly index: number };

export interface RuledAnswer {
  readonly answer: BoardAnswer;
  readonly index: number;
  readonly accepted: boolean;
  /** Why not; empty for an accepted one. */
  readonly code: string;
  /** Another peer or the referee looked at it: it counts for or against the peer's standing. */
  readonly looked: boolean;
}

/**
 * What one step does to a job: collected here, stored in one transaction, and only then acted on. The board is changed at
 * once; if the ledger cannot store it the board is thrown away and read again.
 */
export class Step {
  readonly shards: ShardMove[] = [];
  readonly newAnswers: Mutable<NonNullable<JobChange['newAnswers']>[number]>[] = [];
  readonly answers: NonNullable<JobChange['answers']>[number][] = [];
  readonly outputs: NonNullable<JobChange['outputs']>[number][] = [];
  readonly ruled: RuledAnswer[] = [];
  readonly verified: { readonly index: number; readonly peer: PeerIdText | undefined; readonly by: JobCheck }[] = [];
  readonly failed: { readonly index: number; readonly code: string }[] = [];

  /** `inputDigest` where the shard comes into being. */
  move(shard: BoardShard, to: ShardState, extra: Pick<ShardMove, 'failures'> = {}): void {
    this.shards.push({ index: shard.index, from: shard.state, to, ...extra });
    shard.state = to;
  }

  rule(shard: BoardShard, answer: BoardAnswer, to: AnswerState, code = '', looked = true): void {
    this.answers.push({
      index: shard.index,
      peer: answer.peer,
      from: answer.state,
      to,
      ...(code === '' ? {} : { code }),
    });
    answer.state = to;
    this.ruled.push({ answer, index: shard.index, accepted: to !== 'refused', code, looked });
  }

  /** Keeps outputs on disk until they are delivered or ruled wrong. */
  keep(shard: BoardShard, source: string, outputs: NamedTensors, layout: TensorLayout = layoutOf(outputs)): void {
    this.outputs.push({ index: shard.index, source, layout, parts: payloadOf(layout, outputs) });
  }

  verify(shard: BoardShard, by: JobCheck, source: string, outputs: NamedTensors | undefined): void {
    this.move(shard, 'verified');
    shard.source = source;
    shard.outputs = outputs;
    this.verified.push({ index: shard.index, peer: source === REFEREE ? undefined : (source as PeerIdText), by });
    this.settle(shard);
  }

  fail(shard: BoardShard, code: string): void {
    for (const answer of openAnswers(shard)) this.rule(shard, answer, 'refused', code, false);
    this.move(shard, 'failed');
    this.failed.push({ index: shard.index, code });
  }

  /** A verified shard is settled once nobody is owed for it or may still come to be. */
  settle(shard: BoardShard): void {
    if (shard.state !== 'verified' || shard.holders.size > 0) return;
    if (acceptedAnswers(shard).length === 0 && openAnswers(shard).length === 0) this.move(shard, 'settled');
  }
}

export const REFEREE = 'referee';

/** Two peers' answers to one shard: agreement verifies it and pays both; false: they differ, and the referee decides. */
export function rulePair(
  step: Step,
  shard: BoardShard,
  pair: readonly [BoardAnswer, BoardAnswer],
  tolerance: number,
): boolean {
  const [first, second] = pair;
  if (!sameAnswer(first, second, tolerance)) {
    step.move(shard, 'disputed');
    return false;
  }
  step.rule(shard, first, 'agreed');
  step.rule(shard, second, 'agreed');
  step.verify(shard, 'agreed', first.peer, first.outputs);
  return true;
}

/** The referee's own outputs decide every open answer; where none is right its own are delivered, and nobody is paid. */
export function ruleByReferee(step: Step, shard: BoardShard, outputs: NamedTensors, tolerance: number): void {
  let source = REFEREE;
  for (const answer of openAnswers(shard)) {
    const isRight = answer.outputs !== undefined && compareOutputs(outputs, answer.outputs, tolerance).equal;
    step.rule(shard, answer, isRight ? 'checked' : 'refused', isRight ? '' : 'work.deviant');
    if (isRight && source === REFEREE) source = answer.peer;
  }
  if (source === REFEREE) step.keep(shard, REFEREE, outputs);
  const right = source === REFEREE ? outputs : shard.answers.get(source as PeerIdText)?.outputs;
  step.verify(shard, 'checked', source, right);
}

/** Equal digests spare the comparison; different ones may still be within the tolerance. */
export function sameAnswer(a: BoardAnswer, b: BoardAnswer, tolerance: number): boolean {
  if (a.digest === b.digest) return true;
  return a.outputs !== undefined && b.outputs !== undefined && compareOutputs(a.outputs, b.outputs, tolerance).equal;
}

/** Rulings as messages: what each peer is told, by lease. */
export function verdictsOf(ruled: readonly RuledAnswer[]): Map<PeerIdText, Map<LeaseId, VerdictItem[]>> {
  const byPeer = new Map<PeerIdText, Map<LeaseId, VerdictItem[]>>();
  for (const { answer, index, accepted, code } of ruled) {
    const byLease = byPeer.get(answer.peer) ?? new Map<LeaseId, VerdictItem[]>();
    byPeer.set(answer.peer, byLease);
    const items = byLease.get(answer.leaseId) ?? [];
    byLease.set(answer.leaseId, items);
    items.push({ index, outcome: accepted ? 'accepted' : 'refused', code });
  }
  return byPeer;
}
