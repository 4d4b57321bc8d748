import { Bitmap } from '#shared/protocol/content/bitmap.ts';
import { LIMITS } from '#shared/protocol/limits.ts';

/** Leaves `first` to `first + count - 1`. */
export interface Range {
  readonly first: number;
  readonly count: number;
}

/** A request's worth of work is about this large, so that small leaves do not mean many requests. */
const RANGE_BYTES = LIMITS.content.leafBytes;

interface Assignment {
  readonly since: number;
  readonly owners: Set<object>;
}

/**
 * What one download still needs, shared by its providers: each takes the next range that it has and nobody else is
 * getting. A fast provider takes more often; what a dead one leaves goes back. At the end, a leaf that somebody has
 * owed for long may be taken by a second provider.
 */
export class WorkQueue {
  /** Leaves that nobody is getting. */
  readonly #open: Bitmap;
  readonly #done: Bitmap;
  readonly #assigned = new Map<number, Assignment>();
  readonly #rangeLeaves: number;
  readonly #now: () => number;
  #changed = Promise.withResolvers<void>();

  constructor(have: Bitmap, leafBytes: number, now: () => number) {
    this.#done = new Bitmap(have.size, have.bytes.slice());
    this.#open = new Bitmap(have.size);
    for (const index of have.missing()) this.#open.set(index);
    this.#rangeLeaves = Math.min(LIMITS.content.leavesPerRequest, Math.ceil(RANGE_BYTES / leafBytes));
    this.#now = now;
  }

  get finished(): boolean {
    return this.#done.full;
  }

  /** Leaves that are on disk and noted there. Not a copy. */
  get onDisk(): Bitmap {
    return this.#done;
  }

  /** Whether any of these leaves may yet become work for this owner: nobody's so far, or owed by others only. */
  wants(owner: object, has: Bitmap): boolean {
    if (this.#firstOpen(has) !== undefined) return true;
    for (const [index, { owners }] of this.#assigned) if (has.has(index) && !owners.has(owner)) return true;
    return false;
  }

  /** Resolves at the next change that may mean work for somebody who found none. */
  changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** The next range for this owner among the leaves that it has; undefined when there is none now. */
  take(owner: object, has: Bitmap): Range | undefined {
    const since = this.#now();
    const first = this.#firstOpen(has);
    if (first === undefined) return this.#takeAgain(owner, has, since);
    let count = 0;
    while (count < this.#rangeLeaves && this.#open.has(first + count) && has.has(first + count)) {
      this.#open.clear(first + count);
      this.#assigned.set(first + count, { since, owners: new Set([owner]) });
      count += 1;
    }
    return { first, count };
  }

  /** Milliseconds until a leaf that this owner has may be taken a second time; undefined when there is none. */
  nextDoubleMs(owner: object, has: Bitmap): number | undefined {
    let earliest: number | undefined;
    for (const [index, { since, owners }] of this.#assigned) {
      if (!has.has(index) || owners.has(owner) || owners.size > 1) continue;
      earliest = Math.min(earliest ?? Infinity, since);
    }
    return earliest === undefined ? undefined : Math.max(0, earliest + LIMITS.content.doubleAfterMs - this.#now());
  }

  /** The leaf is verified and on disk. */
  done(index: number): void {
    this.#assigned.delete(index);
    this.#open.clear(index);
    this.#done.set(index);
    if (this.finished) this.#announce();
  }

  /** The owner will not bring these after all. */
  giveBack(owner: object, indices: Iterable<number>): void {
    let any = false;
    for (const index of indices) {
      const assignment = this.#assigned.get(index);
      if (assignment?.owners.delete(owner) !== true || assignment.owners.size > 0) continue;
      this.#assigned.delete(index);
      this.#open.set(index);
      any = true;
    }
    if (any) this.#announce();
  }

  #firstOpen(has: Bitmap): number | undefined {
    if (this.#open.count === 0) return undefined;
    for (let index = 0; index < this.#open.size; index += 1) {
      if (this.#open.has(index) && has.has(index)) return index;
    }
    return undefined;
  }

  #takeAgain(owner: object, has: Bitmap, now: number): Range | undefined {
    for (const [index, { since, owners }] of this.#assigned) {
      if (now - since < LIMITS.content.doubleAfterMs || !has.has(index) || owners.has(owner) || owners.size > 1)
        continue;
      owners.add(owner);
      return { first: index, count: 1 };
    }
    return undefined;
  }

  #announce(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve();
  }
}
