import { z } from 'zod';
import type { Hex } from '#shared/units.ts';
import { Mutex } from '../mutex.ts';
import { hash32, hexBytes, smallQuantity, toQuantity } from '../rpc/quantity.ts';
import { RpcFault, type RpcRequest } from '../rpc/rpc.ts';
import type { Journal, JournalEntry } from './journal.ts';

const blockSchema = z.object({ number: smallQuantity, hash: hash32, timestamp: smallQuantity });
type Tip = z.infer<typeof blockSchema>;

/** Idle longer than this before a start: an empty block brings the chain's clock to the present, so that calls see it. */
const STALE_SECONDS = 30;
/** JSON-RPC's "invalid params". */
const INVALID_PARAMS = -32602;

/** The journal's tip and the replay's differ: the file was damaged or written by another version of the EVM. */
export class ReplayMismatch extends Error {
  override readonly name = 'ReplayMismatch';
}

/**
 * The EVM with its memory: every block is journaled before its sender hears of it, so a kill at any moment loses
 * nothing that was answered. Blocks are made one at a time.
 */
export class PracticeEngine {
  readonly #evm: RpcRequest;
  readonly #journal: Journal;
  readonly #nowSeconds: () => number;
  readonly #mutex = new Mutex();
  #tip: Tip;
  /** Seconds the chain's clock is ahead of this machine's, by `advanceTime` or a clock that was set back. */
  #skewSeconds = 0;

  private constructor(evm: RpcRequest, journal: Journal, nowSeconds: () => number, tip: Tip) {
    this.#evm = evm;
    this.#journal = journal;
    this.#nowSeconds = nowSeconds;
    this.#tip = tip;
    this.#skewSeconds = Math.max(0, tip.timestamp - nowSeconds());
  }

  /** Replays the journal. Throws ReplayMismatch where the end is not the one that was written down. */
  static async start(evm: RpcRequest, journal: Journal, nowSeconds: () => number): Promise<PracticeEngine> {
    let last: JournalEntry | undefined;
    for (const entry of journal.entries()) {
      await evm('evm_setNextBlockTimestamp', [toQuantity(entry.timestamp)]);
      if (entry.transaction) await evm('eth_sendRawTransaction', [toHex(entry.transaction)]);
      else await evm('evm_mine', []);
      last = entry;
    }
    const tip = await readTip(evm);
    if (last && tip.hash !== last.blockHash) {
      throw new ReplayMismatch(`replayed to block ${tip.number} ${tip.hash}, journal ends in ${last.blockHash}`);
    }
    const engine = new PracticeEngine(evm, journal, nowSeconds, tip);
    if (last && nowSeconds() - tip.timestamp > STALE_SECONDS) await engine.advanceTime(0);
    return engine;
  }

  get tip(): { readonly number: number; readonly hash: Hex; readonly timestamp: number } {
    return this.#tip;
  }

  readonly request: RpcRequest = (method, params, signal) =>
    method === 'eth_sendRawTransaction' ? this.#mutex.run(() => this.#send(params)) : this.#evm(method, params, signal);

  /** Mines an empty block `seconds` ahead of the chain's clock, which stays ahead. */
  advanceTime(seconds: number): Promise<void> {
    return this.#mutex.run(async () => {
      this.#skewSeconds += seconds;
      await this.#evm('evm_setNextBlockTimestamp', [toQuantity(this.#nextTimestamp())]);
      await this.#evm('evm_mine', []);
      await this.#journalTip(undefined);
    });
  }

  /** Resolves when no block is in the making. */
  async idle(): Promise<void> {
    await this.#mutex.run(() => Promise.resolve());
  }

  #nextTimestamp(): number {
    return Math.max(this.#tip.timestamp, this.#nowSeconds() + this.#skewSeconds);
  }

  async #send(params: readonly unknown[]): Promise<unknown> {
    const raw = hexBytes.safeParse(params[0]);
    if (!raw.success) throw new RpcFault(INVALID_PARAMS, 'eth_sendRawTransaction takes one signed transaction');
    await this.#evm('evm_setNextBlockTimestamp', [toQuantity(this.#nextTimestamp())]);
    const hash = await this.#evm('eth_sendRawTransaction', [raw.data]);
    const before = this.#tip.number;
    await this.#journalTip(Buffer.from(raw.data.slice(2), 'hex'));
    // EDR queues nothing while it mines by itself; a pool would be memory that the journal does not have.
    if (this.#tip.number === before) throw new Error('a transaction was accepted without a block');
    return hash;
  }

  async #journalTip(transaction: Uint8Array | undefined): Promise<void> {
    const tip = await readTip(this.#evm);
    if (tip.number === this.#tip.number) return;
    this.#journal.append({ timestamp: tip.timestamp, transaction, blockHash: tip.hash });
    this.#tip = tip;
  }
}

async function readTip(evm: RpcRequest): Promise<Tip> {
  return blockSchema.parse(await evm('eth_getBlockByNumber', ['latest', false]));
}

function toHex(bytes: Uint8Array): Hex {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`;
}
