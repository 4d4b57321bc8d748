import { TypedDataEncoder, isError } from 'ethers';
import type { Address, Hex, Wei } from '#shared/units.ts';
import { tokenContract } from './abi.ts';
import { chainTime, type ContractReader } from './reader.ts';
import { RpcFault, type RpcRequest } from './rpc/rpc.ts';
import type { Secp256k1 } from './vouchers/secp256k1.ts';
import { signDigest } from './vouchers/signature.ts';

export interface Permit {
  readonly deadline: bigint;
  readonly v: bigint;
  readonly r: Hex;
  readonly s: Hex;
}

export interface PermitOptions {
  readonly chainId: number;
  readonly account: Address;
  readonly token: Address;
  readonly reader: ContractReader;
  readonly privateKey: Uint8Array;
  readonly secp256k1: Secp256k1;
  readonly request: RpcRequest;
}

const PERMIT_TYPES = {
  Permit: [
    { name: 'owner', type: 'address' },
    { name: 'spender', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
  ],
};
/** Used in the very next transaction; a leaked one dies soon. */
const VALID_SECONDS = 3600;

/** ERC-2612 allowances by signature: one transaction less for each channel that is opened. */
export class PermitSigner {
  readonly #options: PermitOptions;
  /** The token's EIP-712 domain; null where it takes no permits; undefined before it was asked. */
  #domain: Parameters<typeof TypedDataEncoder.hash>[0] | null | undefined;

  constructor(options: PermitOptions) {
    this.#options = options;
  }

  /** A permit for the account's next permit nonce; undefined where the token takes none. */
  async sign(spender: Address, value: Wei): Promise<Permit | undefined> {
    const { account, token, reader, privateKey, secp256k1, request } = this.#options;
    this.#domain ??= await this.#findDomain();
    if (this.#domain === null) return undefined;
    const nonce = await reader.read(token, tokenContract, 'nonces', [account]);
    const deadline = BigInt((await chainTime(request)) + VALID_SECONDS);
    const message = { owner: account, spender, value, nonce, deadline };
    const digest = TypedDataEncoder.hash(this.#domain, PERMIT_TYPES, message);
    const signature = signDigest(secp256k1, Buffer.from(digest.slice(2), 'hex'), privateKey);
    const hex = Buffer.from(signature).toString('hex');
    return { deadline, v: BigInt(signature[64] ?? 0), r: `0x${hex.slice(0, 64)}`, s: `0x${hex.slice(64, 128)}` };
  }

  /** The domain the token announces (ERC-5267), held against the separator it uses; null where either is missing. */
  async #findDomain(): Promise<Parameters<typeof TypedDataEncoder.hash>[0] | null> {
    const { token, reader, chainId } = this.#options;
    try {
      const [, name, version, , verifyingContract] = await reader.read(token, tokenContract, 'eip712Domain', []);
      const domain = { name, version, chainId, verifyingContract };
      const separator = await reader.read(token, tokenContract, 'DOMAIN_SEPARATOR', []);
      return TypedDataEncoder.hashDomain(domain) === separator ? domain : null;
    } catch (error) {
      if (error instanceof RpcFault || isError(error, 'BAD_DATA') || isError(error, 'BUFFER_OVERRUN')) return null;
      throw error;
    }
  }
}
