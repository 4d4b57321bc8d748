import type { Multiaddr } from '@multiformats/multiaddr';
import { isPrivateAddress } from './node/options.ts';
import type { Reachability } from './port.ts';

export interface Situation {
  readonly connectionCount: number;
  /** Addresses this node tells others, verified ones only. */
  readonly addresses: readonly Multiaddr[];
  /** Bootstrap dials that failed since the last that succeeded. */
  readonly failedDials: number;
  readonly upnp: boolean;
}

type Verdict = Omit<Reachability, 'since'>;

/** How others can reach this node, in words for its owner. */
export function judge(situation: Situation): Verdict {
  if (situation.connectionCount === 0) {
    if (situation.failedDials === 0) {
      return { state: 'unknown', reason: 'This machine is looking for the network.', remedy: undefined };
    }
    return {
      state: 'offline',
      reason: "None of the network's known peers answers.",
      remedy: "Check this machine's internet connection; if it works, the network file may be out of date.",
    };
  }
  const own = situation.addresses.filter((address) => !isRelayed(address));
  const outside = own.find((address) => !isPrivateAddress(address));
  if (outside !== undefined) {
    return { state: 'public', reason: `Others reach this machine directly at ${hostOf(outside)}.`, remedy: undefined };
  }
  if (situation.addresses.some(isRelayed)) {
    const remedy = situation.upnp
      ? 'Nothing has to be done. For the fastest connections forward a port to this machine in the router.'
      : 'Nothing has to be done. For the fastest connections switch UPnP on, here and in the router.';
    return {
      state: 'private',
      reason: 'A router stands in front of this machine: others call it through a relay and then connect directly.',
      remedy,
    };
  }
  return {
    state: 'private',
    reason: 'This machine can call others; nobody outside its own network can call it yet.',
    remedy:
      'It keeps asking the relays for a place. Forwarding a port in the router would make it independent of them.',
  };
}

function isRelayed(address: Multiaddr): boolean {
  return address.getComponents().some((component) => component.name === 'p2p-circuit');
}

function hostOf(address: Multiaddr): string {
  return address
    .getComponents()
    .filter((component) => component.name !== 'p2p')
    .map((component) => component.value ?? component.name)
    .join(' ');
}

/** Remembers since when the verdict holds and tells of each change. */
export class ReachabilityTracker {
  readonly #situation: () => Situation;
  readonly #now: () => number;
  readonly #changed: () => void;
  #current: Reachability;

  constructor(options: {
    readonly situation: () => Situation;
    readonly now: () => number;
    readonly changed: () => void;
  }) {
    this.#situation = options.situation;
    this.#now = options.now;
    this.#changed = options.changed;
    this.#current = { ...judge(options.situation()), since: options.now() };
  }

  get current(): Reachability {
    return this.#current;
  }

  update(): void {
    const verdict = judge(this.#situation());
    if (verdict.state === this.#current.state && verdict.reason === this.#current.reason) return;
    const since = verdict.state === this.#current.state ? this.#current.since : this.#now();
    this.#current = { ...verdict, since };
    this.#changed();
  }
}
