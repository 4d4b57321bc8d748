/**
 * xoshiro128** (Blackman and Vigna, 2018, public domain), seeded through splitmix32: small, fast, the same on
 * every machine. Not for secrets.
 */
export class Random {
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;

  /** Equal words give equal streams; any change of one gives another stream. */
  constructor(...words: readonly number[]) {
    let seed = 0x9e37_79b9;
    for (const word of words) seed = mix((seed ^ word) + 0x9e37_79b9);
    const next = (): number => {
      seed = (seed + 0x9e37_79b9) >>> 0;
      return mix(seed) | 0;
    };
    this.#set(next(), next(), next(), next());
  }

  /** Continues from a known state: for reference vectors. */
  static fromState(a: number, b: number, c: number, d: number): Random {
    const random = new Random();
    random.#set(a, b, c, d);
    return random;
  }

  /** Uniform in [0, 2^32). */
  uint32(): number {
    const result = Math.imul(rotateLeft(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotateLeft(this.#d, 11);
    return result;
  }

  /** Uniform in [0, 1), multiples of 2^-32. */
  unit(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.unit();
  }

  /** Uniform in [0, count). The bias for counts far below 2^32 is nothing here. */
  below(count: number): number {
    return Math.floor(this.unit() * count);
  }

  /** Mean 0, deviation 1 (Irwin-Hall of 12: no logarithm, so no difference between machines). */
  normal(): number {
    let sum = -6;
    for (let k = 0; k < 12; k++) sum += this.unit();
    return sum;
  }

  /** Fisher-Yates, in place. */
  shuffle(items: Uint32Array): void {
    for (let k = items.length - 1; k > 0; k--) {
      const other = this.below(k + 1);
      const kept = items[k] ?? 0;
      items[k] = items[other] ?? 0;
      items[other] = kept;
    }
  }

  #set(a: number, b: number, c: number, d: number): void {
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#d = d;
  }
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/** The finaliser of murmur3, as in splitmix32. */
function mix(value: number): number {
  let bits = value >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
