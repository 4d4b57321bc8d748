import { reader, writer } from 'protons-runtime';
import { err, ok } from '../../result.ts';
import type { Result } from '../../result.ts';
import { LIMITS } from '../limits.ts';
import { CID_BYTES, cidFromBytes, cidToBytes } from './cid.ts';
import type { ManifestCid } from './cid.ts';
import { bitmapBytes } from './bitmap.ts';
import { messageInvalid } from './errors.ts';
import type { ContentFormatError } from './errors.ts';

/** Messages of the content protocol; content.proto is their schema. */
export const CONTENT_PROTOCOL = '/hearth/content/1.0';

export type ContentRequest =
  | { readonly kind: 'describe'; readonly id: number; readonly cid: ManifestCid; readonly manifest: boolean }
  | {
      readonly kind: 'leaves';
      readonly id: number;
      readonly cid: ManifestCid;
      readonly first: number;
      readonly count: number;
    };

/** Why a provider does not answer a request. Others may come from later minor versions and mean `unavailable`. */
export type FaultCode = 'content.not_found' | 'content.busy' | 'content.request_invalid' | 'content.unavailable';

export type ContentResponse =
  | { readonly kind: 'description'; readonly id: number; readonly manifestBytes: number; readonly have: Uint8Array }
  | { readonly kind: 'leaf'; readonly id: number; readonly index: number }
  | { readonly kind: 'fault'; readonly id: number; readonly code: FaultCode; readonly message: string };

const FAULT_CODES: readonly FaultCode[] = [
  'content.not_found',
  'content.busy',
  'content.request_invalid',
  'content.unavailable',
];
/** A peer's sentence is shown to nobody, only logged: a short one is enough. */
const FAULT_TEXT_BYTES = 512;

type Writer = ReturnType<typeof writer>;
type Reader = ReturnType<typeof reader>;

const VARINT = 0;
const BYTES = 2;
const tag = (field: number, wire: number): number => (field << 3) | wire;

/** proto3 leaves zero values out; so do we, which makes the encoding the shortest there is. */
function putNumber(out: Writer, field: number, value: number): void {
  if (value !== 0) out.uint32(tag(field, VARINT)).uint32(value);
}

function putBytes(out: Writer, field: number, value: Uint8Array): void {
  if (value.byteLength > 0) out.uint32(tag(field, BYTES)).bytes(value);
}

function putMessage(out: Writer, field: number, body: (out: Writer) => void): void {
  out.uint32(tag(field, BYTES)).fork();
  body(out);
  out.ldelim();
}

export function encodeRequest(request: ContentRequest): Uint8Array {
  const out = writer();
  putNumber(out, 1, request.id);
  if (request.kind === 'describe') {
    putMessage(out, 2, (body) => {
      putBytes(body, 1, cidToBytes(request.cid));
      putNumber(body, 2, request.manifest ? 1 : 0);
    });
  } else {
    putMessage(out, 3, (body) => {
      putBytes(body, 1, cidToBytes(request.cid));
      putNumber(body, 2, request.first);
      putNumber(body, 3, request.count);
    });
  }
  return out.finish();
}

export function encodeResponse(response: ContentResponse): Uint8Array {
  const out = writer();
  putNumber(out, 1, response.id);
  if (response.kind === 'description') {
    putMessage(out, 2, (body) => {
      putNumber(body, 1, response.manifestBytes);
      putBytes(body, 2, response.have);
    });
  } else if (response.kind === 'leaf') {
    putMessage(out, 3, (body) => putNumber(body, 1, response.index));
  } else {
    putMessage(out, 4, (body) => {
      body.uint32(tag(1, BYTES)).string(response.code);
      if (response.message !== '') body.uint32(tag(2, BYTES)).string(response.message);
    });
  }
  return out.finish();
}

interface Fields {
  readonly numbers: Map<number, number>;
  readonly bytes: Map<number, Uint8Array>;
}

/** One message's fields, the last of a repeated one as protobuf has it; other wire types are unknown fields, skipped. */
function fieldsOf(bytes: Uint8Array): Fields {
  const input: Reader = reader(bytes);
  const fields: Fields = { numbers: new Map(), bytes: new Map() };
  while (input.pos < input.len) {
    const head = input.uint32();
    const field = head >>> 3;
    const wire = head & 7;
    if (field === 0) throw new RangeError('field number 0');
    if (wire === VARINT) fields.numbers.set(field, input.uint32());
    else if (wire === BYTES) fields.bytes.set(field, input.bytes());
    // Groups (3) nest without bound and are in no proto3 schema.
    else if (wire === 3 || wire === 4) throw new RangeError('a group');
    else input.skipType(wire);
  }
  return fields;
}

/** Runs a decoder over bytes from a peer; the reader's exceptions end here. */
function decoded<T>(bytes: Uint8Array, decode: (fields: Fields) => T | undefined): Result<T, ContentFormatError> {
  if (bytes.byteLength > LIMITS.frame.controlBytes) return err(messageInvalid('it is too long'));
  let value: T | undefined;
  try {
    value = decode(fieldsOf(bytes));
  } catch {
    return err(messageInvalid('it is not protobuf, or a field has a wrong size'));
  }
  return value === undefined ? err(messageInvalid('its kind or a field is not one of those defined')) : ok(value);
}

function cidOf(fields: Fields): ManifestCid | undefined {
  const bytes = fields.bytes.get(1);
  if (bytes?.byteLength !== CID_BYTES) return undefined;
  const cid = cidFromBytes(bytes);
  return cid.ok ? cid.value : undefined;
}

export function decodeRequest(bytes: Uint8Array): Result<ContentRequest, ContentFormatError> {
  return decoded(bytes, (fields) => {
    const id = fields.numbers.get(1) ?? 0;
    const describe = fields.bytes.get(2);
    const leaves = fields.bytes.get(3);
    if ((describe === undefined) === (leaves === undefined)) return undefined;
    const body = fieldsOf(describe ?? leaves ?? new Uint8Array());
    const cid = cidOf(body);
    if (cid === undefined) return undefined;
    if (describe !== undefined) return { kind: 'describe', id, cid, manifest: (body.numbers.get(2) ?? 0) !== 0 };
    const first = body.numbers.get(2) ?? 0;
    const count = body.numbers.get(3) ?? 0;
    if (count < 1 || count > LIMITS.content.leavesPerRequest || first + count > LIMITS.content.leaves) return undefined;
    return { kind: 'leaves', id, cid, first, count };
  });
}

export function decodeResponse(bytes: Uint8Array): Result<ContentResponse, ContentFormatError> {
  return decoded(bytes, (fields): ContentResponse | undefined => {
    const id = fields.numbers.get(1) ?? 0;
    const description = fields.bytes.get(2);
    const leaf = fields.bytes.get(3);
    const fault = fields.bytes.get(4);
    if ([description, leaf, fault].filter((kind) => kind !== undefined).length !== 1) return undefined;
    const body = fieldsOf(description ?? leaf ?? fault ?? new Uint8Array());
    if (description !== undefined) {
      const manifestBytes = body.numbers.get(1) ?? 0;
      const have = body.bytes.get(2) ?? new Uint8Array();
      const fits =
        manifestBytes <= LIMITS.content.manifestBytes && have.byteLength <= bitmapBytes(LIMITS.content.leaves);
      return fits ? { kind: 'description', id, manifestBytes, have } : undefined;
    }
    if (leaf !== undefined) {
      const index = body.numbers.get(1) ?? 0;
      return index < LIMITS.content.leaves ? { kind: 'leaf', id, index } : undefined;
    }
    const text = (field: number): string =>
      String.fromCharCode(...(body.bytes.get(field) ?? new Uint8Array()).subarray(0, FAULT_TEXT_BYTES));
    const code = FAULT_CODES.find((known) => known === text(1)) ?? 'content.unavailable';
    // Printable ASCII only: a peer's words must not steer a terminal.
    return { kind: 'fault', id, code, message: text(2).replaceAll(/[^\u0020-\u007e]/g, '?') };
  });
}
