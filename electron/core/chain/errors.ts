import { isError } from 'ethers';
import { ZodError } from 'zod';
import { appError, CodedFault, type AppError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';
import type { ChainError, ChainErrorCode } from './port.ts';
import { explainRevert } from './reverts.ts';
import { RpcFault, RpcUnreachable, RpcWrongChain } from './rpc/rpc.ts';

const CHAIN_CODES: ReadonlySet<string> = new Set<ChainErrorCode>([
  'chain.unreachable',
  'chain.wrong_chain',
  'chain.reverted',
  'chain.insufficient_gas',
  'chain.insufficient_tokens',
  'chain.timeout',
  'chain.not_found',
  'chain.stopped',
]);

/** Ends an adapter's call with a coded error; `attempt` makes it a value. */
export function fail(code: ChainErrorCode, message: string, extra: Pick<AppError, 'remedy' | 'data'> = {}): never {
  throw new CodedFault(appError(code, message, extra));
}

/** Runs an adapter's call: expected failures become values, faults go on. */
export async function attempt<T>(call: () => Promise<T>): Promise<Result<T, ChainError>> {
  try {
    return ok(await call());
  } catch (error) {
    return err(toChainError(error));
  }
}

/** The coded error behind whatever an adapter's call threw; rethrows what is a fault of this program. */
export function toChainError(error: unknown): ChainError {
  if (error instanceof CodedFault && isChainError(error.error)) return error.error;
  if (error instanceof RpcFault) return refused(error);
  if (error instanceof RpcUnreachable) {
    return appError('chain.unreachable', 'No server of the chain answers right now.', {
      remedy: 'Check this machine’s connection. Hearth goes on by itself when the chain is back.',
      data: { reason: error.message },
    });
  }
  if (error instanceof RpcWrongChain) {
    return appError(
      'chain.wrong_chain',
      `The server answers for another chain than this network’s (${error.expected}).`,
      {
        remedy: 'Check the network file: its chain id and its servers do not belong together.',
        data: { expected: error.expected, actual: error.actual },
      },
    );
  }
  if (isAbort(error)) return appError('chain.stopped', 'The call was cancelled.');
  if (error instanceof ZodError) {
    return appError('chain.unreachable', 'The chain’s server answered something that makes no sense.', {
      remedy: 'Use another server in the network file.',
    });
  }
  // ethers, decoding the answer of an address without code, or with other code.
  if (isError(error, 'BAD_DATA') || isError(error, 'BUFFER_OVERRUN')) {
    return appError('chain.wrong_chain', 'A contract of the network file is not where it should be on this chain.', {
      remedy: 'Check the network file, or ask whoever gave it to you for a new one.',
    });
  }
  throw error;
}

function isChainError(error: AppError): error is ChainError {
  return CHAIN_CODES.has(error.code);
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
}

function refused(fault: RpcFault): ChainError {
  if (fault.data !== undefined) return explainRevert(fault.data);
  return appError('chain.reverted', 'The chain’s server refused the request.', {
    data: { rpcCode: fault.code, reason: fault.message },
  });
}
