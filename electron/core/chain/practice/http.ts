import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { z } from 'zod';
import { LIMITS } from '#shared/protocol/limits.ts';
import { RpcFault, type RpcRequest } from '../rpc/rpc.ts';

/** What a stranger on this machine may call: reading, and sending what it signed itself. Nothing that turns the chain's clock or keys. */
const ALLOWED_METHODS: ReadonlySet<string> = new Set([
  'eth_blockNumber',
  'eth_call',
  'eth_chainId',
  'eth_estimateGas',
  'eth_feeHistory',
  'eth_gasPrice',
  'eth_getBalance',
  'eth_getBlockByHash',
  'eth_getBlockByNumber',
  'eth_getCode',
  'eth_getLogs',
  'eth_getStorageAt',
  'eth_getTransactionByHash',
  'eth_getTransactionCount',
  'eth_getTransactionReceipt',
  'eth_maxPriorityFeePerGas',
  'eth_sendRawTransaction',
  'net_version',
  'web3_clientVersion',
  'hearth_faucet',
]);

// JSON-RPC 2.0, section 5.1.
const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const METHOD_NOT_FOUND = -32601;
const INTERNAL_ERROR = -32603;

const callSchema = z.object({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.number(), z.string().max(64), z.null()]),
  method: z.string().max(64),
  params: z.array(z.unknown()).max(8).default([]),
});
const bodySchema = z.union([callSchema, z.array(callSchema).min(1).max(LIMITS.chain.practiceBatchCount)]);

export interface JsonRpcServer {
  readonly port: number;
  /** Stops listening and ends every connection. */
  close(): Promise<void>;
}

/**
 * JSON-RPC over HTTP on 127.0.0.1. Web pages are kept out: a request with an Origin is refused, and so is one whose
 * Host is not this loopback address (DNS rebinding). Rejects with the socket's error where the port is taken.
 */
export async function serveJsonRpc(request: RpcRequest, port: number): Promise<JsonRpcServer> {
  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000 }, (incoming, response) => {
    void answer(server, request, incoming, response).catch(() => response.destroy());
  });
  server.maxConnections = LIMITS.chain.practiceConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: boundPort(server),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function boundPort(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no TCP port');
  return address.port;
}

async function answer(
  server: Server,
  request: RpcRequest,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const refusal = refuse(incoming, boundPort(server));
  if (refusal !== undefined) {
    response.writeHead(refusal, { connection: 'close' }).end();
    return;
  }
  const body = await readBody(incoming);
  if (body === undefined) {
    response.writeHead(413, { connection: 'close' }).end();
    return;
  }
  const reply = await replyTo(request, body);
  response.setHeader('content-type', 'application/json').end(JSON.stringify(reply));
}

/** HTTP status to refuse with, or undefined. */
function refuse(incoming: IncomingMessage, port: number): number | undefined {
  if (incoming.headers.origin !== undefined) return 403;
  if (incoming.headers.host !== `127.0.0.1:${port}` && incoming.headers.host !== `localhost:${port}`) return 403;
  if (incoming.method !== 'POST') return 405;
  if (!/^application\/json\b/.test(incoming.headers['content-type'] ?? '')) return 415;
  return undefined;
}

async function readBody(incoming: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > LIMITS.chain.practiceRequestBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

interface Reply {
  readonly jsonrpc: '2.0';
  readonly id: number | string | null;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: string };
}

async function replyTo(request: RpcRequest, body: string): Promise<Reply | readonly Reply[]> {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return failure(null, PARSE_ERROR, 'the body is not JSON');
  }
  const calls = bodySchema.safeParse(json);
  if (!calls.success) return failure(null, INVALID_REQUEST, 'not a JSON-RPC 2.0 request, or too many at once');
  return Array.isArray(calls.data)
    ? Promise.all(calls.data.map((call) => one(request, call)))
    : one(request, calls.data);
}

async function one(request: RpcRequest, call: z.infer<typeof callSchema>): Promise<Reply> {
  if (!ALLOWED_METHODS.has(call.method)) return failure(call.id, METHOD_NOT_FOUND, `no method ${call.method} here`);
  try {
    return { jsonrpc: '2.0', id: call.id, result: await request(call.method, call.params) };
  } catch (error) {
    if (error instanceof RpcFault) return failure(call.id, error.code, error.message, error.data);
    return failure(call.id, INTERNAL_ERROR, 'the practice chain failed to answer');
  }
}

function failure(id: Reply['id'], code: number, message: string, data?: string): Reply {
  return { jsonrpc: '2.0', id, error: data === undefined ? { code, message } : { code, message, data } };
}
