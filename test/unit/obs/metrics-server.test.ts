import { request } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createMetrics } from '#core/obs/metrics.ts';
import { serveMetrics } from '#core/obs/metrics-server.ts';

async function serving(): Promise<URL> {
  const metrics = createMetrics();
  metrics.shards.inc({ outcome: 'verified' }, 3);
  const server = await serveMetrics(metrics.registry, 0);
  if (!server.ok) throw new Error(server.error.message);
  onTestFinished(() => server.value.close());
  return new URL(server.value.url);
}

function get(
  url: URL,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    request(url, { headers, method }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    })
      .on('error', reject)
      .end();
  });
}

describe('the metrics endpoint', () => {
  it('answers in Prometheus text format', async () => {
    const { status, body } = await get(await serving());
    expect(status).toBe(200);
    expect(body).toContain('hearth_shards_total{outcome="verified"} 3');
    expect(body).toContain('process_resident_memory_bytes');
  });

  it.each([
    ['a name that resolves here', { host: 'evil.example' }],
    ['a web page', { origin: 'http://localhost:3000' }],
  ])('refuses %s', async (_who, headers) => {
    expect((await get(await serving(), headers)).status).toBe(403);
  });

  it('serves nothing else', async () => {
    expect((await get(new URL('/', await serving()))).status).toBe(404);
    expect((await get(await serving(), {}, 'POST')).status).toBe(404);
  });

  it('says which setting to change when its port is taken', async () => {
    const taken = Number((await serving()).port);
    expect(await serveMetrics(createMetrics().registry, taken)).toMatchObject({
      ok: false,
      error: { code: 'metrics.port_in_use', data: { port: taken } },
    });
  });
});
