import { TopicValidatorResult } from '@libp2p/gossipsub';
import type { GossipSub, Message } from '@libp2p/gossipsub';
import type { PeerId } from '@libp2p/interface';
import type { Logger } from '#core/obs/logger.ts';
import { appError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { STATEMENT_KIND, STATEMENT_VERSION } from '#shared/protocol/statement.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import { peerIdText } from '#shared/units.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { Misdeed, NetworkError, VerifiedStatement } from './port.ts';
import { SourceRate } from './rate.ts';
import { ReplayCache } from './statements/replay-cache.ts';
import type { Statements } from './statements/statements.ts';

/** Another version of the envelope is another topic, so that neighbours of both do not charge each other. */
const TOPIC_VERSION = `/v${STATEMENT_VERSION}`;

type Listener = (statement: VerifiedStatement) => void;

export interface GossipOptions {
  readonly pubsub: GossipSub;
  readonly networkId: string;
  readonly statements: Statements;
  readonly report: (peer: PeerIdText, misdeed: Misdeed) => void;
  readonly isBanned: (peer: PeerIdText) => boolean;
  readonly log: Logger;
  /** Unix milliseconds. */
  readonly now: () => number;
}

/**
 * Signed statements to everybody who listens for their kind. A statement is verified before it is passed on, so
 * whoever passes on an invalid one made it or did not look, and is charged.
 */
export class Gossip {
  readonly #options: GossipOptions;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #carried = new Set<string>();
  readonly #seen = new ReplayCache();
  readonly #rate = new SourceRate(LIMITS.gossip.messagesPerSecondPerNeighbour, LIMITS.network.relayConnections);
  readonly #prefix: string;

  constructor(options: GossipOptions) {
    this.#options = options;
    this.#prefix = `/hearth/${options.networkId}/`;
  }

  async publish(kind: string, payload: Uint8Array, ttlMs: number): Promise<Result<void, NetworkError>> {
    const sealed = this.#options.statements.seal(kind, payload, ttlMs);
    const limit = LIMITS.gossip.messageBytes;
    if (sealed.byteLength > limit) {
      const message = `A ${kind} of ${sealed.byteLength} bytes is too large to be told to everybody; ${limit} are allowed.`;
      return err(appError('network.frame_too_large', message, { data: { bytes: sealed.byteLength, limit } }));
    }
    await this.#options.pubsub.publish(this.#topic(kind), sealed);
    return ok();
  }

  subscribe(kind: string, listener: Listener): () => void {
    if (!STATEMENT_KIND.test(kind)) throw new Error(`"${kind}" is not the name of a kind of statement`);
    const listeners = this.#listeners.get(kind) ?? new Set<Listener>();
    listeners.add(listener);
    this.#listeners.set(kind, listeners);
    this.#join(kind);
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0 || this.#listeners.get(kind) !== listeners) return;
      this.#listeners.delete(kind);
      this.#leave(kind);
    };
  }

  /**
   * Takes part in every topic of this network that a neighbour asks for, up to a bound: homes that only know the
   * relay hear each other through it.
   */
  carryForOthers(): void {
    this.#options.pubsub.addEventListener('subscription-change', (event) => {
      for (const { topic, subscribe } of event.detail.subscriptions) {
        const kind = this.#kindOf(topic);
        if (!subscribe || kind === undefined || this.#carried.has(kind)) continue;
        if (this.#carried.size >= LIMITS.gossip.topicCount) return;
        this.#carried.add(kind);
        this.#join(kind);
      }
    });
  }

  #join(kind: string): void {
    const topic = this.#topic(kind);
    this.#options.pubsub.topicValidators.set(topic, (from, message) => this.#validate(kind, from, message));
    this.#options.pubsub.subscribe(topic);
  }

  #leave(kind: string): void {
    if (this.#carried.has(kind)) return;
    const topic = this.#topic(kind);
    this.#options.pubsub.unsubscribe(topic);
    this.#options.pubsub.topicValidators.delete(topic);
  }

  #validate(kind: string, from: PeerId, message: Message): TopicValidatorResult {
    const neighbour = peerIdText(from.toString());
    if (!this.#rate.allows(neighbour, this.#options.now())) return TopicValidatorResult.Ignore;
    if (message.data.byteLength > LIMITS.gossip.messageBytes) {
      this.#options.report(neighbour, 'too_much');
      return TopicValidatorResult.Reject;
    }
    const statement = this.#options.statements.unseal(kind, message.data, this.#seen);
    if (!statement.ok) {
      // Late and repeated ones happen to honest neighbours; what cannot be valid does not.
      if (statement.error.code !== 'network.statement_invalid') return TopicValidatorResult.Ignore;
      this.#options.report(neighbour, 'invalid_message');
      return TopicValidatorResult.Reject;
    }
    if (this.#options.isBanned(statement.value.sender)) return TopicValidatorResult.Ignore;
    for (const listener of this.#listeners.get(kind) ?? []) this.#tell(listener, statement.value);
    return TopicValidatorResult.Accept;
  }

  #tell(listener: Listener, statement: VerifiedStatement): void {
    try {
      listener(statement);
    } catch (fault) {
      // Ours, not the neighbour's: the statement is still valid and goes on to others.
      this.#options.log.error({ fault: String(fault) }, 'a listener of gossip failed');
    }
  }

  #topic(kind: string): string {
    return `${this.#prefix}${kind}${TOPIC_VERSION}`;
  }

  #kindOf(topic: string): string | undefined {
    const ours = topic.startsWith(this.#prefix) && topic.endsWith(TOPIC_VERSION);
    const kind = ours ? topic.slice(this.#prefix.length, -TOPIC_VERSION.length) : '';
    return STATEMENT_KIND.test(kind) ? kind : undefined;
  }
}
