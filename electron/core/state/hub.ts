import type { ProviderEvent } from '#shared/model/events.ts';
import type { AgentState } from '#shared/model/state.ts';
import { fold } from './fold.ts';

export type StatePatch = Partial<Omit<AgentState, 'revision' | 'startedAt'>>;

/** Sole owner of the agent's state: services tell it facts, everybody else reads. */
export class StateHub {
  #state: AgentState;
  readonly #listeners = new Set<(state: AgentState) => void>();

  constructor(initial: Omit<AgentState, 'revision'>) {
    this.#state = { ...initial, revision: 0 };
  }

  get state(): AgentState {
    return this.#state;
  }

  /** A fact of paid work. */
  tell(event: ProviderEvent): void {
    this.#replace(fold(this.#state, event));
  }

  /** Facts of other services (network, identity, phase), as the fields that they own. */
  patch(patch: StatePatch): void {
    this.#replace({ ...this.#state, ...patch });
  }

  /** Called at once and after each change; returns how to stop it. */
  subscribe(listener: (state: AgentState) => void): () => void {
    this.#listeners.add(listener);
    listener(this.#state);
    return () => this.#listeners.delete(listener);
  }

  #replace(next: AgentState): void {
    if (next === this.#state) return;
    this.#state = { ...next, revision: this.#state.revision + 1 };
    for (const listener of this.#listeners) listener(this.#state);
  }
}
