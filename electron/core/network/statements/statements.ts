import { createHash, randomBytes } from 'node:crypto';
import { publicKeyFromMultihash } from '@libp2p/crypto/keys';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';
import { identity } from 'multiformats/hashes/identity';
import secp256k1 from 'secp256k1';
import { appError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import {
  decodeSealed,
  decodeStatement,
  encodeSealed,
  encodeStatement,
  NONCE_BYTES,
  STATEMENT_DOMAIN,
  STATEMENT_KIND,
  STATEMENT_VERSION,
  statementInvalid,
} from '#shared/protocol/statement.ts';
import type { Statement } from '#shared/protocol/statement.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import { peerIdText } from '#shared/units.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { PeerKey } from '../peer-key.ts';
import type { NetworkError, VerifiedStatement } from '../port.ts';
import type { ReplayCache } from './replay-cache.ts';

const DOMAIN = Buffer.from(STATEMENT_DOMAIN);

export interface StatementsOptions {
  readonly networkId: string;
  readonly key: PeerKey;
  /** Unix milliseconds. */
  readonly now: () => number;
  readonly nonce?: () => Uint8Array;
}

/** Seals what this node says and checks what others said, for one network. */
export interface Statements {
  /** Throws where kind, payload or ttl break their bounds: those are the caller's own. */
  seal(kind: string, payload: Uint8Array, ttlMs: number): Uint8Array;
  /** Each cache is a memory of its own: a statement is new once per cache. */
  unseal(kind: string, sealed: Uint8Array, seen: ReplayCache): Result<VerifiedStatement, NetworkError>;
}

/** SHA-256 over the domain and the exact bytes of the statement: what is signed. */
export function statementDigest(statement: Uint8Array): Uint8Array {
  return createHash('sha256').update(DOMAIN).update(statement).digest();
}

export function createStatements(options: StatementsOptions): Statements {
  const sender = peerIdFromPublicKey(options.key.libp2p.publicKey).toMultihash().bytes;
  const nonce = options.nonce ?? (() => randomBytes(NONCE_BYTES));
  return {
    seal(kind, payload, ttlMs) {
      if (!STATEMENT_KIND.test(kind)) throw new Error(`"${kind}" is not the name of a kind of statement`);
      if (payload.byteLength > LIMITS.statement.payloadBytes) throw new Error(`payload of ${payload.byteLength} bytes`);
      if (!(ttlMs > 0 && ttlMs <= LIMITS.statement.ttlMs)) throw new Error(`a statement cannot live ${ttlMs} ms`);
      const issuedAtMs = options.now();
      const statement = encodeStatement({
        version: STATEMENT_VERSION,
        networkId: options.networkId,
        kind,
        sender,
        issuedAtMs,
        expiresAtMs: issuedAtMs + Math.ceil(ttlMs),
        nonce: nonce(),
        payload,
      });
      return encodeSealed({ statement, signature: options.key.signCompact(statementDigest(statement)) });
    },
    unseal(kind, bytes, seen) {
      const sealed = decodeSealed(bytes);
      if (!sealed.ok) return sealed;
      const read = decodeStatement(sealed.value.statement);
      if (!read.ok) return read;
      const statement = read.value;
      const nowMs = options.now();
      const fault = faultOf(statement, options.networkId, kind, nowMs);
      if (fault !== undefined) return err(fault);
      // The signature is checked last because it costs the most.
      const author = verify(statement.sender, sealed.value.statement, sealed.value.signature);
      if (author === undefined) return err(statementInvalid('its signature is not its sender’s'));
      const untilMs = statement.expiresAtMs + LIMITS.statement.clockSkewMs;
      const freshness = seen.check(author, Buffer.from(statement.nonce).toString('base64'), untilMs, nowMs);
      if (freshness === 'replayed') return err(replayed(author));
      if (freshness === 'too_many') return err(tooManyStatements(author));
      return ok({ sender: author, payload: statement.payload, expiresAt: statement.expiresAtMs });
    },
  };
}

function faultOf(statement: Statement, networkId: string, kind: string, nowMs: number): NetworkError | undefined {
  const { clockSkewMs, ttlMs } = LIMITS.statement;
  if (statement.networkId !== networkId) return statementInvalid('it belongs to another network');
  if (statement.kind !== kind) return statementInvalid(`it is of kind "${statement.kind}", expected was "${kind}"`);
  if (statement.expiresAtMs <= statement.issuedAtMs) return statementInvalid('it expires before it was issued');
  if (statement.expiresAtMs - statement.issuedAtMs > ttlMs) return statementInvalid('it claims to be valid too long');
  if (statement.issuedAtMs > nowMs + clockSkewMs) {
    // The code of what is out of its time: with a wrong clock here it is nobody's misdeed.
    return appError('network.statement_expired', 'A signed statement was refused: it comes from the future.', {
      remedy: "If this happens with every peer, set this machine's clock.",
    });
  }
  if (statement.expiresAtMs + clockSkewMs <= nowMs) {
    return appError('network.statement_expired', 'A signed statement was refused: it is no longer valid.', {
      remedy: "If this happens with every peer, set this machine's clock.",
      data: { expiredMsAgo: nowMs - statement.expiresAtMs },
    });
  }
  return undefined;
}

/** The author's peer id, or undefined where `sender` is no secp256k1 key or did not sign. */
function verify(sender: Uint8Array, statement: Uint8Array, signature: Uint8Array): PeerIdText | undefined {
  try {
    const multihash = decodeMultihash(sender);
    if (multihash.code !== identity.code) return undefined;
    const key = publicKeyFromMultihash({ ...multihash, code: identity.code });
    if (key.type !== 'secp256k1') return undefined;
    if (!secp256k1.ecdsaVerify(signature, statementDigest(statement), key.raw)) return undefined;
    return peerIdText(peerIdFromPublicKey(key).toString());
  } catch {
    // Both libraries throw on bytes that are no key, no multihash or no signature.
    return undefined;
  }
}

function replayed(author: PeerIdText): NetworkError {
  return appError('network.statement_replayed', 'A signed statement was refused: it was used before.', {
    data: { sender: author },
  });
}

function tooManyStatements(author: PeerIdText): NetworkError {
  return appError('network.too_many', 'A signed statement was refused: its sender made too many at once.', {
    data: { sender: author, limit: LIMITS.statement.rememberedPerSenderCount },
  });
}
