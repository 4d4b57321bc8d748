import { createLogUpdate } from 'log-update';
import pc from 'picocolors';
import type { NetworkFile } from '#shared/model/network-file.ts';
import type { AgentState } from '#shared/model/state.ts';
import type { RequesterEvent } from '#shared/model/events.ts';
import { formatBytes, formatDuration, formatTokensShort, shorten } from '#shared/text/format.ts';
import type { RoleEvent } from '../roles/messages.ts';
import type { ProcessEvent } from '../roles/supervisor.ts';
import { stateLines } from '../terminal/state-lines.ts';
import { facts } from '../terminal/table.ts';
import { EMPTY_TALLY, tally } from './tally.ts';

const REDRAW_MS = 250;
const PLAIN_EVERY_MS = 5_000;
const LATELY = 8;

/** The whole practice network on one screen: what this machine does and earns, and what the others make of it. */
export class PracticeView {
  readonly #startedAt = Date.now();
  readonly #update = createLogUpdate(process.stdout);
  readonly #live = process.stdout.isTTY;
  readonly #lately: string[] = [];
  readonly #states = new Map<string, AgentState>();
  readonly #timer: NodeJS.Timeout;
  #network: NetworkFile | undefined;
  #tally = EMPTY_TALLY;
  #digits = { correct: 0, total: 0 };
  #footer = 'Ctrl-C stops all of it, and settles what is owed.';

  constructor() {
    this.#timer = setInterval(
      () => (this.#live ? this.#draw() : this.#drawPlain()),
      this.#live ? REDRAW_MS : PLAIN_EVERY_MS,
    );
  }

  set network(networkFile: NetworkFile) {
    this.#network = networkFile;
  }

  /** A sentence on what is being done now. */
  say(text: string): void {
    this.#footer = text;
    if (this.#live) this.#draw();
    else process.stdout.write(`${text}\n`);
  }

  heard(role: string, event: RoleEvent): void {
    if (event.type === 'agent.state') {
      // From our own child, which is this program.
      this.#states.set(role, event['state'] as AgentState);
    } else if (event.type === 'practice.scored') {
      this.#digits = {
        correct: this.#digits.correct + Number(event['correct']),
        total: this.#digits.total + Number(event['total']),
      };
    } else if (role === 'requester') {
      this.#tally = tally(this.#tally, event as unknown as RequesterEvent);
      const line = this.#sentence(event as unknown as RequesterEvent);
      if (line !== undefined) this.#note(line);
    } else if (event.type === 'settlement.done') {
      this.#note(
        `${pc.green('settled')} ${this.#amount(BigInt(String(event['paidWei'])))} on chain, transaction ${shorten(String(event['transactionHash']), 10, 4)}`,
      );
    }
  }

  process(event: ProcessEvent): void {
    if (event.type === 'process.started' && event.restarts > 0) this.#note(`${event.role} was started again`);
    if (event.type === 'process.exited' && event.signal !== null)
      this.#note(pc.red(`${event.role} was ended by ${event.signal}`));
  }

  close(): void {
    clearInterval(this.#timer);
    if (!this.#live) return;
    this.#draw();
    this.#update.done();
  }

  #sentence(event: RequesterEvent): string | undefined {
    switch (event.type) {
      case 'channel.opened':
        return `payment channel of ${this.#amount(BigInt(event.depositWei))} opened for ${shorten(event.peerId, 8, 6)}`;
      case 'voucher.sent':
        return `${pc.green('+')} ${this.#amount(BigInt(event.addedWei))} for ${event.shards} shards to ${shorten(event.peerId, 8, 6)}`;
      case 'peer.lied':
        return pc.red(`${shorten(event.peerId, 8, 6)} lied about shard ${event.shard}: unpaid and remembered`);
      case 'lease.expired':
        return `${event.shards} shards came back from ${shorten(event.peerId, 8, 6)} unanswered`;
      case 'feedback.given':
        return `reputation ${event.value} of 100 written on chain for ${shorten(event.peerId, 8, 6)}`;
      case 'job.paused':
        return pc.yellow(`the requester waits: ${event.error.message}`);
      default:
        return undefined;
    }
  }

  #draw(): void {
    const [, state] = [...this.#states].sort(([a], [b]) => a.localeCompare(b))[0] ?? [];
    const lines = [
      '',
      `${pc.bold('Hearth')} · practice network, play money · up ${formatDuration(Date.now() - this.#startedAt)}`,
      '',
      pc.bold('This machine'),
      state === undefined ? 'Starting.' : stateLines(state, Date.now()),
      '',
      pc.bold('The network'),
      this.#networkLines(),
      '',
      pc.bold('Lately'),
      ...(this.#lately.length === 0 ? [pc.dim('nothing yet')] : this.#lately),
      '',
      pc.dim(this.#footer),
      '',
    ];
    this.#update(lines.join('\n'));
  }

  #drawPlain(): void {
    const earned = [...this.#states.values()].reduce((sum, state) => sum + BigInt(state.money.earnedWei), 0n);
    const settled = [...this.#states.values()].reduce((sum, state) => sum + BigInt(state.money.settledWei), 0n);
    process.stdout.write(
      `${this.#tally.verified} shards verified, ${this.#tally.refused} refused, earned ${this.#amount(earned)}, settled ${this.#amount(settled)}\n`,
    );
  }

  #networkLines(): string {
    const { verified, refused, promisedWei, bytes } = this.#tally;
    const right =
      this.#digits.total === 0
        ? ''
        : ` · ${((100 * this.#digits.correct) / this.#digits.total).toFixed(1)} % of ${this.#digits.total.toLocaleString('en-US')} digits read right`;
    return facts([
      [
        'Requester',
        `${verified} shards verified, ${refused} refused · paid ${this.#amount(promisedWei)} · ${formatBytes(bytes)}${right}`,
      ],
      ['Contributors', String(this.#states.size)],
      [
        'Chain',
        this.#network === undefined
          ? 'starting'
          : `${this.#network.chain.rpcUrls[0]} (chain ${this.#network.chain.chainId})`,
      ],
    ]);
  }

  #amount(amount: bigint): string {
    const { symbol, decimals } = this.#network?.chain.token ?? { symbol: '', decimals: 18 };
    return `${formatTokensShort(amount, decimals)} ${symbol}`.trim();
  }

  #note(text: string): void {
    const time = new Date().toTimeString().slice(0, 8);
    this.#lately.push(`${pc.dim(time)}  ${text}`);
    while (this.#lately.length > LATELY) this.#lately.shift();
    if (!this.#live) process.stdout.write(`${time}  ${text}\n`);
  }
}
