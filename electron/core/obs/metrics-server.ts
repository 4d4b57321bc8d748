import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { appError, type AppError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';

export type MetricsError = AppError<'metrics.port_in_use'>;

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Prometheus' text format on http://127.0.0.1:<port>/metrics. Loopback only, GET only, and only under a loopback
 * Host: a page in the owner's browser must not read it through a name that resolves here (DNS rebinding).
 */
export async function serveMetrics(registry: Registry, port: number): Promise<Result<MetricsServer, MetricsError>> {
  const server = createServer((request, response) => {
    const host = (request.headers.host ?? '').replace(/:\d+$/, '');
    const allowed = host === '127.0.0.1' || host === 'localhost';
    if (!allowed || request.headers.origin !== undefined) {
      response.writeHead(403).end();
    } else if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end();
    } else {
      registry.metrics().then(
        (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
    }
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 5_000;
  server.maxConnections = 16;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
  } catch {
    return err(
      appError('metrics.port_in_use', `Port ${port} for the metrics is taken by another program.`, {
        remedy: 'Choose another: hearth settings set metrics.port 9465',
        data: { port },
      }),
    );
  }
  const bound = (server.address() as AddressInfo).port;
  return ok({
    url: `http://127.0.0.1:${bound}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}
