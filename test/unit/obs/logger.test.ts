import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { loggerTo, openLogFile } from '#core/obs/logger.ts';
import { tempDir } from '#support/temp-dir.ts';

function captured(): { readonly stream: Writable; lines(): Record<string, unknown>[] } {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return {
    stream,
    lines: () =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

describe('the log', () => {
  it('is one JSON object a line with time, level and the fields given', () => {
    const sink = captured();
    loggerTo(sink.stream, 'info').child({ part: 'market' }).info({ leaseId: 'a1' }, 'lease granted');
    expect(sink.lines()).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        part: 'market',
        leaseId: 'a1',
        msg: 'lease granted',
      },
    ]);
  });

  it('holds back what is below its level', () => {
    const sink = captured();
    const logger = loggerTo(sink.stream, 'warn');
    logger.info({}, 'quiet');
    logger.warn({}, 'loud');
    expect(sink.lines().map((line) => line['msg'])).toEqual(['loud']);
  });

  it('never carries a secret, in a field, nested, or inside a sentence', () => {
    const sink = captured();
    const key = 'ab'.repeat(32);
    const words = 'legal winner thank year wave sausage worth useful legal winner thank yellow';
    const logger = loggerTo(sink.stream, 'debug');
    logger.error({ privateKey: key, wallet: { mnemonic: words, deep: { passphrase: 'hunter2' } } }, 'failed');
    logger.error({ err: new Error(`invalid private key: 0x${key}`) }, 'library said too much');
    const text = JSON.stringify(sink.lines());
    expect(text).not.toContain(key);
    expect(text).not.toContain('sausage');
    expect(text).not.toContain('hunter2');
    expect(text).toContain('[secret]');
  });

  it('rotates by size and keeps a bounded number of files', async () => {
    const directory = tempDir();
    const sink = openLogFile({ directory, name: 'agent', level: 'info', maxFileSize: '2K', keepFiles: 2 });
    for (let line = 0; line < 200; line += 1) {
      sink.logger.info({ line }, 'x'.repeat(100));
      // Rotation happens between writes: give the stream its turn.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await sink.close();
    const files = readdirSync(directory).filter((name) => name.includes('agent'));
    expect(files.length).toBeGreaterThan(1);
    expect(files.length).toBeLessThanOrEqual(4);
    const kept = files.map((name) => readFileSync(path.join(directory, name), 'utf8')).join('');
    expect(kept).toContain('"line":199');
    expect(kept).not.toContain('"line":0,');
  });
});
