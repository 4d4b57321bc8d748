import { createLogUpdate } from 'log-update';
import pc from 'picocolors';
import type { RequesterEvent } from '#shared/model/events.ts';
import { formatDuration, formatTokensShort, shorten } from '#shared/text/format.ts';
import { EMPTY_TALLY, tally } from '../practice/tally.ts';

const WIDTH = 30;
const REDRAW_MS = 200;

/** How far a job is, on standard error: a bar on a terminal, a line every ten per cent elsewhere. */
export class JobProgress {
  readonly #count: number;
  readonly #token: { readonly symbol: string; readonly decimals: number };
  readonly #update = createLogUpdate(process.stderr);
  readonly #live = process.stderr.isTTY;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #peers = new Set<string>();
  readonly #startedAt = Date.now();
  #tally = EMPTY_TALLY;
  #saidTenths = 0;
  #trouble: string | undefined;

  constructor(count: number, token: { readonly symbol: string; readonly decimals: number }) {
    this.#count = count;
    this.#token = token;
    if (this.#live) this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
  }

  heard(event: RequesterEvent): void {
    this.#tally = tally(this.#tally, event);
    if (event.type === 'peer.joined') this.#peers.add(event.peerId);
    if (event.type === 'peer.left') this.#peers.delete(event.peerId);
    if (event.type === 'job.paused')
      this.#trouble = [event.error.message, event.error.remedy].filter(Boolean).join(' ');
    if (event.type === 'job.resumed') this.#trouble = undefined;
    if (event.type === 'peer.lied')
      this.#trouble = `${shorten(event.peerId, 8, 6)} gave a wrong answer; it is unpaid, and the shard is computed again.`;
    const tenths = Math.floor((10 * this.#tally.verified) / Math.max(1, this.#count));
    if (!this.#live && tenths > this.#saidTenths) {
      this.#saidTenths = tenths;
      process.stderr.write(`${this.#line()}\n`);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    if (this.#live) {
      this.#draw();
      this.#update.done();
    }
  }

  #draw(): void {
    const filled = Math.round((WIDTH * this.#tally.verified) / Math.max(1, this.#count));
    const bar = pc.green('█'.repeat(filled)) + pc.dim('░'.repeat(WIDTH - filled));
    this.#update(
      [`${bar} ${this.#line()}`, ...(this.#trouble === undefined ? [] : [pc.yellow(this.#trouble)])].join('\n'),
    );
  }

  #line(): string {
    const { verified, promisedWei } = this.#tally;
    const elapsed = Date.now() - this.#startedAt;
    const left = verified === 0 ? undefined : (elapsed / verified) * (this.#count - verified);
    return [
      `${verified}/${this.#count} shards verified`,
      this.#peers.size === 0 ? 'waiting for contributors' : `${this.#peers.size} at work`,
      `paid ${formatTokensShort(promisedWei, this.#token.decimals)} ${this.#token.symbol}`,
      ...(left === undefined || left < 1_000 ? [] : [`${formatDuration(left)} left`]),
    ].join(' · ');
  }
}
