import { reader, writer } from 'protons-runtime';
import { appError } from '../errors.ts';
import type { AppError } from '../errors.ts';
import { err, ok } from '../result.ts';
import type { Result } from '../result.ts';
import { LIMITS } from './limits.ts';

/** The wire form of signed statements; statement.proto is the schema. Signing and checking are the network's. */
export const STATEMENT_VERSION = 1;
export const STATEMENT_DOMAIN = 'hearth statement v1\n';
export const STATEMENT_KIND = /^[a-z][a-z0-9-]{0,31}$/;
export const NONCE_BYTES = 16;
export const SIGNATURE_BYTES = 64;
/** Identity multihash (2 bytes) of a protobuf (4 bytes) of a compressed key (33 bytes). */
export const SENDER_BYTES = 39;

export interface Statement {
  readonly version: number;
  readonly networkId: string;
  readonly kind: string;
  readonly sender: Uint8Array;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  readonly nonce: Uint8Array;
  readonly payload: Uint8Array;
}

export interface Sealed {
  readonly statement: Uint8Array;
  readonly signature: Uint8Array;
}

export type StatementFormatError = AppError<'network.statement_invalid'>;

const VARINT = 0;
const BYTES = 2;
const tag = (field: number, wireType: number): number => (field << 3) | wireType;

type Reader = ReturnType<typeof reader>;

export function encodeStatement(statement: Statement): Uint8Array {
  return writer()
    .uint32(tag(1, VARINT))
    .uint32(statement.version)
    .uint32(tag(2, BYTES))
    .string(statement.networkId)
    .uint32(tag(3, BYTES))
    .string(statement.kind)
    .uint32(tag(4, BYTES))
    .bytes(statement.sender)
    .uint32(tag(5, VARINT))
    .uint64Number(statement.issuedAtMs)
    .uint32(tag(6, VARINT))
    .uint64Number(statement.expiresAtMs)
    .uint32(tag(7, BYTES))
    .bytes(statement.nonce)
    .uint32(tag(8, BYTES))
    .bytes(statement.payload)
    .finish();
}

export function encodeSealed(sealed: Sealed): Uint8Array {
  return writer().uint32(tag(1, BYTES)).bytes(sealed.statement).uint32(tag(2, BYTES)).bytes(sealed.signature).finish();
}

export function statementInvalid(why: string): StatementFormatError {
  return appError('network.statement_invalid', `A signed statement was refused: ${why}.`);
}

export function decodeSealed(bytes: Uint8Array): Result<Sealed, StatementFormatError> {
  if (bytes.byteLength > LIMITS.statement.sealedBytes) {
    return err(statementInvalid(`${bytes.byteLength} bytes are more than ${LIMITS.statement.sealedBytes}`));
  }
  let statement: Uint8Array = new Uint8Array();
  let signature: Uint8Array = new Uint8Array();
  const read = readFields(bytes, (field, wireType, input) => {
    if (field === 1 && wireType === BYTES) statement = input.bytes();
    else if (field === 2 && wireType === BYTES) signature = input.bytes();
    else return false;
    return true;
  });
  if (!read || statement.byteLength === 0) return err(statementInvalid('its envelope is not readable'));
  if (signature.byteLength !== SIGNATURE_BYTES) return err(statementInvalid('its signature has the wrong length'));
  return ok({ statement, signature });
}

interface Draft {
  version: number;
  networkId: string;
  kind: string;
  sender: Uint8Array;
  issuedAtMs: number;
  expiresAtMs: number;
  nonce: Uint8Array;
  payload: Uint8Array;
}

export function decodeStatement(bytes: Uint8Array): Result<Statement, StatementFormatError> {
  const empty = new Uint8Array();
  const draft: Draft = {
    version: 0,
    networkId: '',
    kind: '',
    sender: empty,
    issuedAtMs: 0,
    expiresAtMs: 0,
    nonce: empty,
    payload: empty,
  };
  if (!readFields(bytes, (field, wireType, input) => readStatementField(draft, field, wireType, input))) {
    return err(statementInvalid('it is not readable'));
  }
  const fault = faultOf(draft);
  return fault === undefined ? ok(draft) : err(statementInvalid(fault));
}

function readStatementField(draft: Draft, field: number, wireType: number, input: Reader): boolean {
  if (wireType === VARINT) {
    if (field === 1) draft.version = input.uint32();
    else if (field === 5) draft.issuedAtMs = input.uint64Number();
    else if (field === 6) draft.expiresAtMs = input.uint64Number();
    else return false;
    return true;
  }
  if (wireType !== BYTES) return false;
  if (field === 2) draft.networkId = input.string();
  else if (field === 3) draft.kind = input.string();
  else if (field === 4) draft.sender = input.bytes();
  else if (field === 7) draft.nonce = input.bytes();
  else if (field === 8) draft.payload = input.bytes();
  else return false;
  return true;
}

function faultOf(draft: Draft): string | undefined {
  if (draft.version !== STATEMENT_VERSION) {
    return `it has version ${draft.version}, this program reads version ${STATEMENT_VERSION}`;
  }
  if (!STATEMENT_KIND.test(draft.kind)) return 'its kind is not a name';
  if (draft.sender.byteLength !== SENDER_BYTES) return 'its sender is not a secp256k1 peer id';
  if (draft.nonce.byteLength !== NONCE_BYTES) return 'its nonce has the wrong length';
  if (draft.payload.byteLength > LIMITS.statement.payloadBytes) return 'its payload is too large';
  if (!Number.isSafeInteger(draft.issuedAtMs) || !Number.isSafeInteger(draft.expiresAtMs)) {
    return 'its times are out of range';
  }
  return undefined;
}

/** False where the bytes are not protobuf. `take` answers whether it consumed the field; others are skipped. */
function readFields(bytes: Uint8Array, take: (field: number, wireType: number, input: Reader) => boolean): boolean {
  const input = reader(bytes);
  try {
    while (input.pos < input.len) {
      const head = input.uint32();
      if (head >>> 3 === 0) return false;
      if (!take(head >>> 3, head & 7, input)) input.skipType(head & 7);
    }
    return input.pos === input.len;
  } catch {
    // The reader throws on truncated or malformed input; that is an answer, not a fault.
    return false;
  }
}
