import pc from 'picocolors';
import { createLogUpdate } from 'log-update';
import type { StateHub } from '#core/state/hub.ts';
import type { AgentState } from '#shared/model/state.ts';
import { shorten } from '#shared/text/format.ts';
import { stateLines } from './state-lines.ts';

const REDRAW_MS = 250;

/** One agent, live: redrawn in place on a terminal; into a pipe, a line whenever its phase changes. */
export class AgentView {
  readonly #hub: StateHub;
  readonly #update = createLogUpdate(process.stderr);
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #unsubscribe: () => void;

  constructor(hub: StateHub) {
    this.#hub = hub;
    let phase: AgentState['phase'] | undefined;
    this.#unsubscribe = hub.subscribe((state) => {
      if (process.stderr.isTTY || state.phase === phase) return;
      ({ phase } = state);
      process.stderr.write(`${state.phase}${state.reason === undefined ? '' : `: ${state.reason}`}\n`);
    });
    if (process.stderr.isTTY) this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#unsubscribe();
    if (process.stderr.isTTY) {
      this.#draw();
      this.#update.done();
    }
  }

  #draw(): void {
    const { state } = this.#hub;
    const title = `${pc.bold('Hearth')} · ${state.network.networkId} · you are ${shorten(state.identity.peerId ?? '...', 8, 6)}`;
    this.#update(
      `\n${title}\n\n${stateLines(state, Date.now())}\n\n${pc.dim('Ctrl-C stops, and settles what is owed.')}\n`,
    );
  }
}
