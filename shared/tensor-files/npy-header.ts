import { refuse } from './errors.ts';
import type { TensorFileResult } from './errors.ts';

export interface NpyHeader {
  /** NumPy's type string, '<f4' for instance; undefined for a structured type. */
  readonly descr: string | undefined;
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
}

/** Thrown within this file only: where the text stops being a header. */
class NotAHeader extends Error {}

/**
 * Reads the header's Python dictionary, of which only strings, booleans, tuples of numbers and lists can occur:
 * {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. Nothing is evaluated.
 */
export function parseHeader(text: string): TensorFileResult<NpyHeader> {
  try {
    return { ok: true, value: new HeaderReader(text).read() };
  } catch (cause) {
    if (!(cause instanceof NotAHeader)) throw cause;
    return refuse('tensor_file.header_invalid', `The header of the .npy file is not valid: ${cause.message}.`, {
      remedy: 'Save the array again with numpy.save.',
    });
  }
}

class HeaderReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): NpyHeader {
    const found = new Map<string, unknown>();
    this.#expect('{');
    while (!this.#accept('}')) {
      const key = this.#string();
      if (found.has(key)) throw new NotAHeader(`${quoted(key)} stands there twice`);
      this.#expect(':');
      found.set(key, this.#value(key));
      if (!this.#accept(',')) {
        this.#expect('}');
        break;
      }
    }
    if (this.#text.slice(this.#at).trim() !== '') throw new NotAHeader('something follows its end');
    for (const key of ['descr', 'fortran_order', 'shape']) {
      if (!found.has(key)) throw new NotAHeader(`${quoted(key)} is missing`);
    }
    return {
      descr: found.get('descr') as string | undefined,
      fortranOrder: found.get('fortran_order') as boolean,
      shape: found.get('shape') as readonly number[],
    };
  }

  #value(key: string): unknown {
    if (key === 'descr') return this.#peek() === '[' ? this.#structured() : this.#string();
    if (key === 'fortran_order') return this.#boolean();
    if (key === 'shape') return this.#tuple();
    throw new NotAHeader(`${quoted(key)} is not one of its fields`);
  }

  #boolean(): boolean {
    const word = this.#match(/True|False/y);
    if (word === undefined) throw new NotAHeader('neither True nor False');
    return word === 'True';
  }

  #tuple(): number[] {
    const dims: number[] = [];
    this.#expect('(');
    while (!this.#accept(')')) {
      // Python 2 wrote long integers with an L.
      const digits = this.#match(/\d{1,16}L?/y);
      if (digits === undefined) throw new NotAHeader('a dimension is not a number');
      dims.push(Number.parseInt(digits, 10));
      if (dims.length > 64) throw new NotAHeader('too many dimensions');
      if (!this.#accept(',')) {
        this.#expect(')');
        break;
      }
    }
    return dims;
  }

  /** Skips a list of fields; only that it is one matters. Strings may hold brackets. */
  #structured(): undefined {
    let depth = 0;
    do {
      const next = this.#peek();
      if (next === undefined) throw new NotAHeader('a list does not end');
      if (next === "'" || next === '"') {
        this.#string();
        continue;
      }
      if (next === '[') depth += 1;
      if (next === ']') depth -= 1;
      this.#at += 1;
    } while (depth > 0);
    return undefined;
  }

  #string(): string {
    const literal = this.#match(/'[^'\\]{0,256}'|"[^"\\]{0,256}"/y);
    if (literal === undefined) throw new NotAHeader('a string was expected');
    return literal.slice(1, -1);
  }

  #peek(): string | undefined {
    this.#match(/\s+/y);
    return this.#text[this.#at];
  }

  #accept(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at += 1;
    return true;
  }

  #expect(character: string): void {
    if (!this.#accept(character)) throw new NotAHeader(`${quoted(character)} was expected`);
  }

  #match(sticky: RegExp): string | undefined {
    if (!sticky.source.startsWith('\\s')) this.#match(/\s+/y);
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }
}

function quoted(text: string): string {
  return `"${text.replaceAll(/[^\u0020-\u007e]/g, '?').slice(0, 40)}"`;
}
