import { z } from 'zod';
import { LIMITS } from '#shared/protocol/limits.ts';
import { smallQuantity } from './quantity.ts';
import { revertData, RpcFault, RpcUnreachable, RpcWrongChain, type RpcRequest } from './rpc.ts';

export interface HttpRpcOptions {
  /** Tried in order; one that fails is passed over for a while. */
  readonly urls: readonly string[];
  readonly chainId: number;
  /** For one answer of one server. */
  readonly timeoutMs?: number;
  readonly nowMs?: () => number;
}

const DEFAULT_TIMEOUT_MS = 15_000;
/** A server that failed is asked again after this, or at once when no other is left. */
const PASS_OVER_MS = 30_000;
/** EIP-1474: limit exceeded. Another server may have a larger one. */
const LIMIT_EXCEEDED = -32005;

const answerSchema = z.union([
  z.object({ error: z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() }) }),
  z.object({ result: z.unknown() }).refine((answer) => answer.result !== undefined),
]);

interface Server {
  readonly url: string;
  /** Unix milliseconds until which others come first. */
  failedUntil: number;
  /** Its chain id was checked since it last failed. */
  checked: boolean;
}

/**
 * JSON-RPC over HTTP: one request per call (batches are slower on every server measured), servers in order of the
 * network file, each one's chain id checked before its first answer counts. Keeps no connection state of its own, so
 * a chain that comes back is used by the next call.
 */
export class HttpRpc {
  readonly #servers: readonly Server[];
  readonly #chainId: number;
  readonly #timeoutMs: number;
  readonly #nowMs: () => number;
  #nextId = 1;

  constructor(options: HttpRpcOptions) {
    this.#servers = options.urls.map((url) => ({ url, failedUntil: 0, checked: false }));
    this.#chainId = options.chainId;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  readonly request: RpcRequest = async (method, params, signal) => {
    const now = this.#nowMs();
    const rested = this.#servers.filter((server) => server.failedUntil <= now);
    const tired = this.#servers.filter((server) => server.failedUntil > now);
    const failures: string[] = [];
    let wrongChain: RpcWrongChain | undefined;
    for (const server of [...rested, ...tired]) {
      try {
        if (!server.checked) await this.#checkChain(server, signal);
        const result = await this.#post(server.url, method, params, signal);
        server.failedUntil = 0;
        return result;
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof RpcWrongChain) wrongChain = error;
        else if (!(error instanceof RpcUnreachable)) throw error;
        server.failedUntil = this.#nowMs() + PASS_OVER_MS;
        server.checked = false;
        failures.push(`${hostOf(server.url)}: ${error.message}`);
      }
    }
    throw wrongChain ?? new RpcUnreachable(failures.join('; '));
  };

  async #checkChain(server: Server, signal: AbortSignal | undefined): Promise<void> {
    const answer = await this.#post(server.url, 'eth_chainId', [], signal);
    const chainId = smallQuantity.safeParse(answer);
    if (chainId.data !== this.#chainId) {
      throw new RpcWrongChain(this.#chainId, chainId.success ? String(chainId.data) : 'without a number');
    }
    server.checked = true;
  }

  async #post(
    url: string,
    method: string,
    params: readonly unknown[],
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    const body = JSON.stringify({ jsonrpc: '2.0', id: this.#nextId++, method, params });
    const text = await readAnswer(url, body, signal ? AbortSignal.any([signal, deadline]) : deadline);
    const answer = answerSchema.safeParse(parseJson(text));
    if (!answer.success) throw new RpcUnreachable('the answer is not JSON-RPC');
    if ('error' in answer.data) {
      const { code, message, data } = answer.data.error;
      if (code === LIMIT_EXCEEDED) throw new RpcUnreachable('its limit of requests is exceeded');
      throw new RpcFault(code, message.slice(0, 500), revertData(data));
    }
    return answer.data.result;
  }
}

/** Throws RpcUnreachable for every way in which no answer comes. */
async function readAnswer(url: string, body: string, signal: AbortSignal): Promise<string> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal,
      redirect: 'error',
    });
    const text = await readText(response);
    // Some servers answer a JSON-RPC error with status 4xx or 5xx and a proper body.
    if (!response.ok && parseJson(text) === undefined) throw new RpcUnreachable(`HTTP status ${response.status}`);
    return text;
  } catch (error) {
    if (error instanceof RpcUnreachable) throw error;
    throw new RpcUnreachable(reasonOf(error), { cause: error });
  }
}

/** Collected once and joined once: fetch's own text() is fine too, but has no bound. */
async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > LIMITS.chain.responseBytes) throw new RpcUnreachable('the answer is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Network errors hide in `cause`: fetch itself says only "fetch failed". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'failed';
  if (error.name === 'TimeoutError') return 'no answer in time';
  const { cause } = error;
  return cause instanceof Error && 'code' in cause ? String(cause.code) : error.message;
}

/** Without path and query, where providers put their users' keys. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'server';
}
