import { refuse } from './errors.ts';
import type { Plan } from './plan.ts';

/**
 * Upper estimate of what one session needs at its worst moment: the file, the weights twice (the runtime keeps
 * a copy packed for its kernels), the inputs, and every intermediate value from the node that makes it to the last
 * that reads it. Values made from constants alone are folded into weights by the runtime and stay.
 */
export class PeakMemory {
  readonly #lastUse = new Map<string, number>();
  readonly #sizes = new Map<string, number>();
  readonly #expiring = new Map<number, string[]>();
  readonly #constant: Set<string>;
  readonly #plan: Plan;
  readonly #limit: number;
  #live: number;
  peakBytes: number;

  constructor(plan: Plan, limit: number) {
    this.#plan = plan;
    this.#limit = limit;
    this.#constant = new Set(plan.constants.keys());
    for (const [index, node] of plan.nodes.entries()) {
      for (const name of [...node.inputs, ...node.outputs]) this.#lastUse.set(name, index);
    }
    for (const { name } of plan.outputs) this.#lastUse.delete(name);
    for (const [name, index] of this.#lastUse) {
      const names = this.#expiring.get(index);
      if (names === undefined) this.#expiring.set(index, [name]);
      else names.push(name);
    }
    this.#live = plan.fileBytes + 2 * plan.parameterBytes;
    this.peakBytes = this.#live;
    this.#check();
  }

  /** Memory that stays for the whole run. */
  hold(bytes: number): void {
    this.#live += bytes;
    this.#rise(0);
  }

  /** A node's output comes to life. */
  make(name: string, bytes: number): void {
    this.#sizes.set(name, bytes);
    this.#live += bytes;
  }

  /** Node `index` runs with scratch memory of its own; what it was the last to read is free afterwards. */
  run(index: number, scratchBytes: number): void {
    this.#rise(scratchBytes);
    const node = this.#plan.nodes[index];
    if (node !== undefined && node.inputs.every((name) => name === '' || this.#constant.has(name))) {
      for (const name of node.outputs) this.#constant.add(name);
    }
    for (const name of this.#expiring.get(index) ?? []) {
      if (!this.#constant.has(name)) this.#live -= this.#sizes.get(name) ?? 0;
    }
  }

  #rise(scratchBytes: number): void {
    this.peakBytes = Math.max(this.peakBytes, this.#live + scratchBytes);
    this.#check();
  }

  #check(): void {
    if (this.peakBytes <= this.#limit) return;
    refuse(
      'admission.memory',
      `one run of the model needs ${this.peakBytes} bytes, more than ${this.#limit} are free for it`,
      {
        bytes: this.peakBytes,
        limit: this.#limit,
      },
    );
  }
}
