import { appError } from '#shared/errors.ts';
import { Bitmap, bitmapBytes, fullBitmap } from '#shared/protocol/content/bitmap.ts';
import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import { leafCount, leafSize } from '#shared/protocol/content/manifest.ts';
import type { Manifest } from '#shared/protocol/content/manifest.ts';
import { CONTENT_PROTOCOL, decodeResponse, encodeRequest } from '#shared/protocol/content/messages.ts';
import type { ContentRequest, ContentResponse } from '#shared/protocol/content/messages.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { Conversation, Frame, Network, NetworkErrorCode } from '../../network/port.ts';
import type { Clock } from '../clock.ts';
import { cidOf } from '../hash.ts';
import type { Range, WorkQueue } from './work-queue.ts';

/** What a session needs of the download that it works for. */
export interface Work {
  readonly cid: ManifestCid;
  readonly signal: AbortSignal;
  /** Known when a manifest has been accepted, from whomever. */
  readonly plan: { readonly manifest: Manifest; readonly queue: WorkQueue } | undefined;
  /** Takes a manifest that is the one named. False where the download ended because of it. */
  acceptManifest(bytes: Uint8Array): Promise<boolean>;
  /**
   * Takes a leaf to check and write it; waits while too many are being checked and written. `onWrong` is called, later,
   * where the bytes are not the content's.
   */
  acceptLeaf(index: number, bytes: Uint8Array, onWrong: () => void): Promise<void>;
}

/**
 * How talking to a provider ended. `failed` may be tried again, `busy` later, `absent` means that it does not have
 * what is missing, `banned` that it sent wrong bytes or nonsense and is not asked again.
 */
export type SessionEnd = 'done' | 'failed' | 'busy' | 'absent' | 'banned';

/** Trying again would not help. */
const HOPELESS: ReadonlySet<string> = new Set<NetworkErrorCode>(['network.banned', 'network.protocol_unsupported']);

interface Asked {
  readonly id: number;
  readonly first: number;
  readonly count: number;
  /** Next leaf that must come. */
  next: number;
}

/** Ends a session from within; the word is its outcome. */
class Ended extends Error {
  readonly end: SessionEnd;

  constructor(end: SessionEnd) {
    super(end);
    this.end = end;
  }
}

/** One conversation with one provider: the manifest when it is needed, then leaves, several requests deep. */
export class ProviderSession {
  readonly #work: Work;
  readonly #network: Network;
  readonly #peer: PeerIdText;
  readonly #clock: Clock;
  readonly #onFruitless: () => void;
  readonly #onWrong: () => void;
  readonly #asked: Asked[] = [];
  /** Leaves that it said to have and then did not give. */
  readonly #refused = new Set<number>();
  #lastId = 0;
  #leaves = 0;
  #lied = false;

  constructor(parts: {
    readonly work: Work;
    readonly network: Network;
    readonly peer: PeerIdText;
    readonly clock: Clock;
    /** It waits for this provider to get what is missing: others would help. */
    readonly onFruitless: () => void;
    /** It sent wrong bytes. May come after `run` has ended. */
    readonly onWrong: () => void;
  }) {
    this.#work = parts.work;
    this.#network = parts.network;
    this.#peer = parts.peer;
    this.#clock = parts.clock;
    this.#onFruitless = parts.onFruitless;
    this.#onWrong = parts.onWrong;
  }

  /** Leaves that it brought. */
  get leaves(): number {
    return this.#leaves;
  }

  /** Runs until the download is finished or the provider has nothing more to give; faults throw. */
  async run(): Promise<SessionEnd> {
    const opened = await this.#network.open(this.#peer, CONTENT_PROTOCOL, {
      timeoutMs: LIMITS.content.openTimeoutMs,
      signal: this.#work.signal,
    });
    if (!opened.ok) return HOPELESS.has(opened.error.code) ? 'absent' : 'failed';
    const conversation = opened.value;
    let end: SessionEnd = 'failed';
    try {
      const has = await this.#describe(conversation);
      end = await this.#exchange(conversation, has);
    } catch (cause) {
      if (!(cause instanceof Ended)) throw cause;
      // Its conversation was cut off because of what it sent.
      end = this.#lied ? 'banned' : cause.end;
    } finally {
      this.#work.plan?.queue.giveBack(this, this.#owed());
      if (end === 'done' && this.#asked.length === 0) void conversation.close();
      else conversation.abort(appError('content.cancelled', 'This download needs nothing more of the conversation.'));
    }
    return end;
  }

  *#owed(): Generator<number> {
    for (const { first, count, next } of this.#asked)
      for (let index = next; index < first + count; index += 1) yield index;
  }

  /** Learns what the provider has, and the manifest where nobody has brought it yet. */
  async #describe(conversation: Conversation): Promise<Bitmap> {
    const wantsManifest = this.#work.plan === undefined;
    const id = await this.#ask(conversation, (id) => ({
      kind: 'describe',
      id,
      cid: this.#work.cid,
      manifest: wantsManifest,
    }));
    const answer = await this.#answer(conversation, id);
    if (answer.kind !== 'description') throw this.#breach('invalid_message');
    if (answer.manifestBytes > 0) {
      const bytes = await this.#data(conversation, answer.manifestBytes);
      if (cidOf(bytes) !== this.#work.cid) throw this.#breach('wrong_bytes');
      if (!(await this.#work.acceptManifest(bytes))) throw new Ended('done');
    }
    const { plan } = this.#work;
    if (plan === undefined) throw this.#breach('invalid_message');
    const size = leafCount(plan.manifest);
    const whole = answer.have.byteLength === 0;
    if (!whole && answer.have.byteLength !== bitmapBytes(size)) throw this.#breach('invalid_message');
    const has = whole ? fullBitmap(size) : new Bitmap(size, answer.have);
    for (const index of this.#refused) has.clear(index);
    return has;
  }

  async #exchange(conversation: Conversation, described: Bitmap): Promise<SessionEnd> {
    const { plan } = this.#work;
    if (plan === undefined) throw new Error('leaves are asked for only when the manifest is known');
    const { queue, manifest } = plan;
    let has = described;
    let fruitless = 0;
    for (;;) {
      if (queue.finished) return 'done';
      if (this.#work.signal.aborted) throw new Ended('done');
      if (this.#lied) throw new Ended('banned');
      while (this.#asked.length < LIMITS.content.requestsPerProvider) {
        const range = queue.take(this, has);
        if (range === undefined) break;
        await this.#askLeaves(conversation, range);
      }
      const oldest = this.#asked[0];
      if (oldest !== undefined) {
        await this.#receiveLeaf(conversation, oldest, manifest, queue, has);
        fruitless = 0;
        continue;
      }
      fruitless = queue.wants(this, has) ? 0 : fruitless + 1;
      if (fruitless > LIMITS.content.refreshes) return 'absent';
      if (fruitless > 0) this.#onFruitless();
      // It may have more by now, and a word now and then keeps the conversation from being taken for dead.
      if (await this.#waitForWork(queue, has)) has = await this.#describe(conversation);
    }
  }

  /** True when nothing has changed for so long that the provider should be asked again what it has. */
  async #waitForWork(queue: WorkQueue, has: Bitmap): Promise<boolean> {
    const doubleMs = queue.nextDoubleMs(this, has);
    const waitMs = Math.min(doubleMs ?? Infinity, LIMITS.content.refreshMs);
    const waited = new AbortController();
    const slept = this.#clock.sleep(waitMs, AbortSignal.any([waited.signal, this.#work.signal]));
    const woken = await Promise.race([queue.changed().then(() => true), slept.then(() => false)]);
    waited.abort();
    return !woken && waitMs === LIMITS.content.refreshMs && !this.#work.signal.aborted;
  }

  async #askLeaves(conversation: Conversation, { first, count }: Range): Promise<void> {
    // Noted before it is sent: should sending fail, the range goes back to the others.
    const asked: Asked = { id: this.#lastId + 1, first, count, next: first };
    this.#asked.push(asked);
    await this.#ask(conversation, (id) => ({ kind: 'leaves', id, cid: this.#work.cid, first, count }));
  }

  async #receiveLeaf(
    conversation: Conversation,
    asked: Asked,
    manifest: Manifest,
    queue: WorkQueue,
    has: Bitmap,
  ): Promise<void> {
    const answer = await this.#answer(conversation, asked.id, () => {
      // It no longer has this range (a disk fault, an eviction): others get it, and it is not asked for it again.
      const owed = [...this.#owed()].filter((index) => index >= asked.next && index < asked.first + asked.count);
      for (const index of owed) {
        has.clear(index);
        this.#refused.add(index);
      }
      this.#asked.shift();
      queue.giveBack(this, owed);
    });
    if (answer.kind === 'fault') return;
    if (answer.kind !== 'leaf' || answer.index !== asked.next) throw this.#breach('invalid_message');
    const bytes = await this.#data(conversation, leafSize(manifest, answer.index));
    this.#leaves += 1;
    asked.next += 1;
    if (asked.next === asked.first + asked.count) this.#asked.shift();
    await this.#work.acceptLeaf(answer.index, bytes, () => this.#wrong(conversation, queue, answer.index));
  }

  /** Told when a leaf has been checked, which may be after the session has ended. */
  #wrong(conversation: Conversation, queue: WorkQueue, index: number): void {
    if (!this.#lied) this.#network.report(this.#peer, 'wrong_bytes');
    this.#lied = true;
    this.#onWrong();
    conversation.abort(appError('content.wrong_bytes', 'The peer sent bytes that are not the content.'));
    queue.giveBack(this, [index]);
  }

  async #ask(conversation: Conversation, request: (id: number) => ContentRequest): Promise<number> {
    this.#lastId += 1;
    const sent = await conversation.send(
      { kind: 'control', body: encodeRequest(request(this.#lastId)) },
      this.#work.signal,
    );
    if (!sent.ok) throw new Ended('failed');
    return this.#lastId;
  }

  /** The next control frame, which must answer this request. */
  async #answer(conversation: Conversation, id: number, onAbsent?: () => void): Promise<ContentResponse> {
    const frame = await this.#receive(conversation);
    if (frame.kind !== 'control') throw this.#breach('invalid_message');
    const answer = decodeResponse(frame.body);
    if (!answer.ok || answer.value.id !== id) throw this.#breach('invalid_message');
    if (answer.value.kind !== 'fault') return answer.value;
    if (answer.value.code === 'content.busy') throw new Ended('busy');
    if (onAbsent === undefined) throw new Ended(answer.value.code === 'content.not_found' ? 'absent' : 'failed');
    onAbsent();
    return answer.value;
  }

  async #data(conversation: Conversation, sizeBytes: number): Promise<Uint8Array> {
    const frame = await this.#receive(conversation);
    if (frame.kind !== 'data') throw this.#breach('invalid_message');
    if (frame.body.byteLength !== sizeBytes) throw this.#breach('wrong_bytes');
    return frame.body;
  }

  async #receive(conversation: Conversation): Promise<Frame> {
    const received = await conversation.receive({
      timeoutMs: LIMITS.content.answerTimeoutMs,
      signal: this.#work.signal,
    });
    if (!received.ok || received.value === undefined) throw new Ended('failed');
    return received.value;
  }

  #breach(misdeed: 'wrong_bytes' | 'invalid_message'): Ended {
    this.#network.report(this.#peer, misdeed);
    return new Ended('banned');
  }
}
