/** The answer "no" of a JSON-RPC server: its code and, for a revert, the contract's data. Not a failure to reach it. */
export class RpcFault extends Error {
  override readonly name = 'RpcFault';
  readonly code: number;
  /** 0x-prefixed revert data where the server gave any. */
  readonly data: string | undefined;

  constructor(code: number, message: string, data?: string) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** No server answered; `message` says what each of them did. */
export class RpcUnreachable extends Error {
  override readonly name = 'RpcUnreachable';
}

/** A server answers for another chain than the network file's. */
export class RpcWrongChain extends Error {
  override readonly name = 'RpcWrongChain';
  readonly expected: number;
  readonly actual: string;

  constructor(expected: number, actual: string) {
    super(`chain ${actual} answers where chain ${expected} is expected`);
    this.expected = expected;
    this.actual = actual;
  }
}

/**
 * One JSON-RPC call, in process or over HTTP. Resolves with `result` as parsed JSON, to be checked before use.
 * Throws RpcFault, RpcUnreachable, RpcWrongChain, or the signal's reason.
 */
export type RpcRequest = (method: string, params: readonly unknown[], signal?: AbortSignal) => Promise<unknown>;

/** EIP-1474: an execution that reverted carries its data as a string, or one level deeper (geth, EDR). */
export function revertData(data: unknown): string | undefined {
  if (typeof data === 'string' && /^0x([0-9a-fA-F]{2})*$/.test(data)) return data;
  if (typeof data === 'object' && data !== null && 'data' in data) return revertData(data.data);
  return undefined;
}
