import { Inflate } from 'fflate';
import { LIMITS } from '../protocol/limits.ts';
import { ok } from '../result.ts';
import { refuse, tooLarge } from './errors.ts';
import type { TensorFileResult } from './errors.ts';

/**
 * As much of ZIP (PKWARE's APPNOTE 6.3) as .npz files need: entries stored or deflated, found through the central
 * directory. Sizes are checked before anything is allocated, checksums afterwards; our own reader because a library's
 * trusts both.
 */
export interface ZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const END_BYTES = 22;
const END_SIGNATURE = 0x06054b50;
const CENTRAL_BYTES = 46;
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_BYTES = 30;
const LOCAL_SIGNATURE = 0x04034b50;
/** A comment at the very end may push the end record forward by this much. */
const MAX_COMMENT_BYTES = 0xffff;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 0x1 | 0x40;

interface Listed {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly packedBytes: number;
  readonly bytes: number;
  readonly localOffset: number;
}

const damaged = (detail: string): TensorFileResult<never> =>
  refuse('tensor_file.damaged', `The archive is damaged: ${detail}.`, { remedy: 'Copy or save the file again.' });

/** Every entry, unpacked; together at most `maxBytes`. */
export function readZip(file: Uint8Array, maxBytes: number): TensorFileResult<readonly ZipEntry[]> {
  const listed = listEntries(file);
  if (!listed.ok) return listed;
  const total = listed.value.reduce((sum, entry) => sum + entry.bytes, 0);
  if (total > maxBytes) return tooLarge(total, maxBytes);
  const entries: ZipEntry[] = [];
  for (const entry of listed.value) {
    const bytes = unpack(file, entry);
    if (!bytes.ok) return bytes;
    entries.push({ name: entry.name, bytes: bytes.value });
  }
  return ok(entries);
}

function listEntries(file: Uint8Array): TensorFileResult<readonly Listed[]> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const end = findEnd(view);
  if (end === undefined) {
    return refuse('tensor_file.not_npz', 'The file is not a NumPy .npz archive, or its end is missing.', {
      remedy: 'Save the arrays with numpy.savez.',
    });
  }
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (count === 0xffff || at === 0xffffffff) {
    return refuse('tensor_file.zip_unsupported', 'The archive is larger than 4 GB or has more than 65,534 entries.');
  }
  if (count > LIMITS.tensorFile.entries) {
    return refuse('tensor_file.too_large', `The archive has ${count} entries; at most 256 are allowed.`, {
      data: { entries: count, maxEntries: LIMITS.tensorFile.entries },
    });
  }
  const listed: Listed[] = [];
  for (let index = 0; index < count; index += 1) {
    if (at + CENTRAL_BYTES > end || view.getUint32(at, true) !== CENTRAL_SIGNATURE)
      return damaged('its list of entries');
    const nameBytes = view.getUint16(at + 28, true);
    const next = at + CENTRAL_BYTES + nameBytes + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    if (next > end) return damaged('its list of entries');
    const nameAt = at + CENTRAL_BYTES;
    const name = decodeName(file.subarray(nameAt, nameAt + nameBytes));
    if (!name.ok) return name;
    if ((view.getUint16(at + 8, true) & ENCRYPTED) !== 0) {
      return refuse('tensor_file.zip_unsupported', 'The archive is encrypted.');
    }
    listed.push({
      name: name.value,
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packedBytes: view.getUint32(at + 20, true),
      bytes: view.getUint32(at + 24, true),
      localOffset: view.getUint32(at + 42, true),
    });
    at = next;
  }
  return ok(listed);
}

function findEnd(view: DataView): number | undefined {
  const earliest = Math.max(0, view.byteLength - END_BYTES - MAX_COMMENT_BYTES);
  for (let at = view.byteLength - END_BYTES; at >= earliest; at -= 1) {
    if (
      view.getUint32(at, true) === END_SIGNATURE &&
      at + END_BYTES + view.getUint16(at + 20, true) === view.byteLength
    ) {
      return at;
    }
  }
  return undefined;
}

/** UTF-8 as Python writes it, without control characters. TextDecoder is not everywhere: percent-decoding is. */
function decodeName(bytes: Uint8Array): TensorFileResult<string> {
  const invalid = (): TensorFileResult<never> =>
    refuse('tensor_file.name_invalid', 'A name in the archive is empty, too long, or not text.');
  if (bytes.byteLength === 0 || bytes.byteLength > LIMITS.tensorFile.nameBytes) return invalid();
  try {
    const name = decodeURIComponent(Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''));
    return /\p{Cc}/u.test(name) ? invalid() : ok(name);
  } catch {
    return invalid();
  }
}

function unpack(file: Uint8Array, entry: Listed): TensorFileResult<Uint8Array> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const at = entry.localOffset;
  if (at + LOCAL_BYTES > file.byteLength || view.getUint32(at, true) !== LOCAL_SIGNATURE) {
    return damaged(`the beginning of "${entry.name}"`);
  }
  const start = at + LOCAL_BYTES + view.getUint16(at + 26, true) + view.getUint16(at + 28, true);
  const packed = file.subarray(start, start + entry.packedBytes);
  if (packed.byteLength !== entry.packedBytes) return damaged(`"${entry.name}" is cut off`);
  if (entry.method !== STORED && entry.method !== DEFLATED) {
    return refuse('tensor_file.zip_unsupported', `"${entry.name}" is packed by method ${entry.method}.`, {
      remedy: 'Save it with numpy.savez or numpy.savez_compressed.',
    });
  }
  const bytes = entry.method === STORED ? packed : inflate(packed, entry.bytes);
  if (bytes?.byteLength !== entry.bytes) return damaged(`"${entry.name}" does not unpack to its size`);
  if (crc32(bytes) !== entry.crc) return damaged(`the checksum of "${entry.name}"`);
  return ok(bytes);
}

/** Undefined where it is no deflate stream or gives another size than it should; stops as soon as it gives more. */
function inflate(packed: Uint8Array, expectedBytes: number): Uint8Array | undefined {
  const out = new Uint8Array(expectedBytes);
  const state = { filled: 0 };
  const inflater = new Inflate((chunk) => {
    if (state.filled + chunk.byteLength <= expectedBytes) out.set(chunk, state.filled);
    state.filled += chunk.byteLength;
  });
  const step = LIMITS.tensorFile.inflateStepBytes;
  try {
    for (let at = 0; at < packed.byteLength && state.filled <= expectedBytes; at += step) {
      inflater.push(packed.subarray(at, at + step), at + step >= packed.byteLength);
    }
  } catch {
    // The library says in exceptions of its own that the stream is not valid.
    return undefined;
  }
  return state.filled === expectedBytes ? out : undefined;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}
