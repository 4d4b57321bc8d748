import { createRequire } from 'node:module';
import { SigningKey, getBytes, hexlify } from 'ethers';
import type * as Secp256k1Addon from 'secp256k1';

/** Recoverable ECDSA over secp256k1 (SEC 1, 4.1.6). Deterministic nonces (RFC 6979), low s. */
export interface Secp256k1 {
  readonly name: Secp256k1Name;
  /** `digest` and `privateKey` 32 bytes; answers r ‖ s (64 bytes) and the recovery id 0 or 1. */
  sign(digest: Uint8Array, privateKey: Uint8Array): { readonly signature: Uint8Array; readonly recovery: number };
  /** Uncompressed public key (65 bytes), or undefined where there is none for these. `recovery` is 0 or 1. */
  recover(digest: Uint8Array, signature: Uint8Array, recovery: number): Uint8Array | undefined;
}

export type Secp256k1Name = 'addon' | 'wasm' | 'noble';

/** Fastest first: about 20,000, 10,000 and 2,000 signatures a second. */
export const SECP256K1_NAMES: readonly Secp256k1Name[] = ['addon', 'wasm', 'noble'];

const loaders: Readonly<Record<Secp256k1Name, () => Promise<Secp256k1>>> = {
  addon: loadAddon,
  wasm: loadWasm,
  noble: () => Promise.resolve(nobleSecp256k1()),
};

/** The named implementation; rejects where this platform has none. */
export function loadSecp256k1(name: Secp256k1Name): Promise<Secp256k1> {
  return loaders[name]();
}

/** The fastest implementation that loads here and signs a known message right. */
export async function fastestSecp256k1(): Promise<Secp256k1> {
  for (const name of SECP256K1_NAMES) {
    try {
      const candidate = await loadSecp256k1(name);
      if (passesSelfTest(candidate)) return candidate;
    } catch {
      // No build for this platform: the next one is slower but there.
    }
  }
  return nobleSecp256k1();
}

/** A broken build (wrong architecture's addon, damaged wasm) must not sign money away. */
function passesSelfTest(candidate: Secp256k1): boolean {
  const digest = new Uint8Array(32).fill(7);
  const key = new Uint8Array(32).fill(9);
  const wanted = nobleSecp256k1().sign(digest, key);
  const { signature, recovery } = candidate.sign(digest, key);
  const publicKey = candidate.recover(digest, signature, recovery);
  return (
    recovery === wanted.recovery &&
    hexlify(signature) === hexlify(wanted.signature) &&
    publicKey !== undefined &&
    hexlify(publicKey) === new SigningKey(key).publicKey
  );
}

async function loadAddon(): Promise<Secp256k1> {
  // Not the package's entry: that one falls back, without a word, to JavaScript that is slower than noble.
  const addon = createRequire(import.meta.url)('secp256k1/bindings.js') as typeof Secp256k1Addon;
  return Promise.resolve({
    name: 'addon',
    sign: (digest, privateKey) => {
      const { signature, recid } = addon.ecdsaSign(digest, privateKey);
      return { signature, recovery: recid };
    },
    recover: (digest, signature, recovery) => {
      try {
        return addon.ecdsaRecover(signature, recovery, digest, false);
      } catch {
        return undefined;
      }
    },
  });
}

async function loadWasm(): Promise<Secp256k1> {
  const wasm = await import('tiny-secp256k1');
  return {
    name: 'wasm',
    sign: (digest, privateKey) => {
      const { signature, recoveryId } = wasm.signRecoverable(digest, privateKey);
      return { signature, recovery: recoveryId };
    },
    recover: (digest, signature, recovery) => {
      try {
        return wasm.recover(digest, signature, recovery === 0 ? 0 : 1, false) ?? undefined;
      } catch {
        return undefined;
      }
    },
  };
}

/** Pure JavaScript, everywhere (noble-curves inside ethers). */
function nobleSecp256k1(): Secp256k1 {
  return {
    name: 'noble',
    sign: (digest, privateKey) => {
      const { r, s, yParity } = new SigningKey(privateKey).sign(digest);
      return { signature: getBytes(r + s.slice(2)), recovery: yParity };
    },
    recover: (digest, signature, recovery) => {
      const r = hexlify(signature.subarray(0, 32));
      const s = hexlify(signature.subarray(32, 64));
      try {
        return getBytes(SigningKey.recoverPublicKey(digest, { r, s, v: 27 + recovery }));
      } catch {
        return undefined;
      }
    },
  };
}
