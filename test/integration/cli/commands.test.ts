import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, errorOf, Hearth, hearth, type Ended } from '#support/cli.ts';
import { tempDir } from '#support/temp-dir.ts';

beforeAll(ensureBuilt, 120_000);

/** What a command says for the given words, in its last line of JSON. */
async function answer(home: string, ...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const ended = await hearth(args, { home });
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  return ended.lines.at(-1) ?? {};
}

function refusal(ended: Ended): string {
  expect(ended.code).toBe(1);
  expect(errorOf(ended).remedy).toMatch(/\w/);
  return errorOf(ended).code;
}

describe('hearth wallet', () => {
  const env = { HEARTH_WALLET_PASSPHRASE: 'correct horse battery staple' };

  it('makes one, shows it, exports it and restores it elsewhere', { timeout: 60_000 }, async () => {
    const home = tempDir();
    const made = await hearth(['wallet', 'create'], { home, env });
    expect(made.code).toBe(0);
    const { address, phrase, file } = made.lines[0] as { address: string; phrase: string; file: string };
    expect(address).toMatch(/^0x[0-9a-fA-F]{40}$/);
    expect(phrase.split(' ').length).toBeGreaterThanOrEqual(12);
    expect(statSync(file).mode & 0o077).toBe(0);
    expect(readFileSync(file, 'utf8')).not.toContain(phrase.split(' ').slice(0, 3).join(' '));
    expect(await answer(home, 'wallet', 'show')).toMatchObject({ address });
    expect(refusal(await hearth(['wallet', 'create'], { home, env }))).toMatch(/^wallet\./);

    const unasked = await hearth(['wallet', 'export'], { home, env });
    expect(refusal(unasked)).toMatch(/^wallet\./);
    expect(unasked.stdout).not.toContain('"text"');
    const exported = await hearth(['wallet', 'export', '--yes'], { home, env });
    expect(exported.code).toBe(0);

    const elsewhere = tempDir();
    const restored = await hearth(['wallet', 'import'], { home: elsewhere, env, input: `${phrase}\n` });
    expect(restored).toMatchObject({ code: 0, lines: [{ address }] });
    const wrong = { HEARTH_WALLET_PASSPHRASE: 'wrong' };
    expect(refusal(await hearth(['wallet', 'export', '--yes'], { home: elsewhere, env: wrong }))).toMatch(/^wallet\./);
  });

  it('refuses what is no phrase, nothing at all, and to work without a passphrase', { timeout: 30_000 }, async () => {
    const home = tempDir();
    expect(refusal(await hearth(['wallet', 'show'], { home }))).toMatch(/^wallet\./);
    expect(refusal(await hearth(['wallet', 'import'], { home, env }))).toBe('wallet.secret_missing');
    const junk = await hearth(['wallet', 'import'], { home, env, input: 'seven little words that are no phrase' });
    expect(refusal(junk)).toMatch(/^wallet\./);
    expect(junk.stdout).not.toContain('seven little');
    expect(refusal(await hearth(['wallet', 'create'], { home }))).toMatch(/^wallet\./);
    expect(existsSync(path.join(home, 'data/wallet.json'))).toBe(false);
  });
});

describe('hearth settings', () => {
  it('shows, changes and keeps them, and refuses what makes no sense', async () => {
    const home = tempDir();
    const file = path.join(home, 'config/settings.json');
    expect(await answer(home, 'settings', 'show')).toMatchObject({ network: 'practice', market: { minPriceWei: '0' } });
    expect(await answer(home, 'settings', 'path')).toEqual({ path: file });
    await answer(home, 'settings', 'set', 'market.minPriceWei', '1000');
    await answer(home, 'settings', 'set', 'compute.threads', '1');
    expect(await answer(home, 'settings', 'show')).toMatchObject({
      market: { minPriceWei: '1000' },
      compute: { threads: 1 },
    });

    const before = readFileSync(file, 'utf8');
    for (const [name, value] of [
      ['market.minPriceWei', 'much'],
      ['compute.backend', 'abacus'],
      ['compute.thraeds', '2'],
      ['__proto__.polluted', '1'],
    ] as const)
      expect(refusal(await hearth(['settings', 'set', name, value], { home }))).toBe('settings.invalid');
    expect(readFileSync(file, 'utf8')).toBe(before);
  });
});

describe('hearth about this machine', () => {
  it('lists its GPUs and backends', { timeout: 60_000 }, async () => {
    const found = await answer(tempDir(), 'gpus');
    expect(found['host']).toMatchObject({ cores: expect.any(Number) as number });
    expect(found['backends']).toContainEqual(expect.objectContaining({ name: 'cpu', usable: true }));
  });

  it('finds it healthy, and says what stands in the way where it is not', { timeout: 60_000 }, async () => {
    const home = tempDir();
    expect(await answer(home, 'doctor')).toMatchObject({ healthy: true });
    mkdirSync(path.join(home, 'config'), { recursive: true });
    writeFileSync(path.join(home, 'config/settings.json'), '{ "market": ');
    const sick = await hearth(['doctor'], { home });
    expect(sick.code).toBe(1);
    expect(sick.lines[0]).toMatchObject({ healthy: false });
    expect(sick.lines[0]?.['findings']).toContainEqual(
      expect.objectContaining({
        about: 'Settings',
        state: 'bad',
        remedy: expect.stringContaining('settings.json') as string,
      }),
    );
    expect((await hearth(['doctor'], { home, plain: true })).stderr).not.toContain('at '.concat('file:'));
  });
});

describe('hearth start', () => {
  it('says that nothing runs, and where to begin', async () => {
    const home = tempDir();
    expect(refusal(await hearth(['status'], { home }))).toBe('agent.not_running');
    expect(refusal(await hearth(['start'], { home }))).toBe('network_file.no_practice');
    expect(refusal(await hearth(['earnings'], { home }))).toBe('network_file.no_practice');
    expect(refusal(await hearth(['start', '--network', path.join(home, 'none.json')], { home }))).toBe(
      'network_file.missing',
    );
  });

  it(
    'works beside a practice network, tells its state, and accounts for what it earned',
    { timeout: 120_000 },
    async () => {
      const home = tempDir();
      const network = new Hearth(['practice', '--contributors', '0'], { home });
      await network.until(() => network.of('network.ready').length > 0);
      const agent = new Hearth(['start', '--network', 'practice'], { home });
      await agent.until(() => agent.of('voucher.received').length > 0);

      const { state } = (await answer(home, 'status')) as { state: Record<string, unknown> };
      expect(state).toMatchObject({ phase: 'working', device: { backend: expect.any(String) as string } });
      expect(refusal(await hearth(['start', '--network', 'practice'], { home }))).toBe('agent.already_running');
      expect((await hearth(['status'], { home, plain: true })).stdout).toContain('Working for');

      agent.kill('SIGINT');
      expect(await agent.ended).toMatchObject({ code: 0, stderr: '' });
      const [stopped] = agent.of('agent.stopped');
      expect(BigInt(String(stopped?.['earnedWei']))).toBeGreaterThan(0n);
      expect(stopped?.['settledWei']).toBe(stopped?.['earnedWei']);
      expect(agent.survivors()).toEqual([]);
      expect(await answer(home, 'earnings')).toMatchObject({
        earnedWei: stopped?.['earnedWei'],
        settledWei: stopped?.['earnedWei'],
        pendingWei: '0',
      });
      const csv = await hearth(['earnings', '--csv'], { home, plain: true });
      expect(csv.stdout).toMatch(/^time,amount,token,transaction,channel\n\d{4}-.*,0x[0-9a-f]{64},0x[0-9a-f]{64}\n/);

      network.kill('SIGINT');
      expect(await network.ended).toMatchObject({ code: 0, stderr: '' });
      const [summary] = network.of('practice.summary');
      expect(summary?.['paidOnChainWei']).toBe(stopped?.['earnedWei']);
    },
  );

  it('refuses a metrics port that is none', async () => {
    for (const port of ['many', '70000'])
      expect(refusal(await hearth(['start', '--metrics', port], { home: tempDir() }))).toMatch(
        /^(command|network_file)\./,
      );
  });
});

describe('the command line itself', () => {
  const OPTIONS: Readonly<Record<string, readonly string[]>> = {
    start: ['--network', '--metrics'],
    practice: ['--shards', '--contributors', '--no-requester', '--fresh'],
    relay: ['--network-id', '--tcp', '--ws', '--stun', '--listen', '--announce'],
    'submit infer': [
      '--model',
      '--input',
      '--output',
      '--network',
      '--batch',
      '--checks',
      '--price',
      '--budget',
      '--tolerance',
    ],
    status: [],
    earnings: ['--network', '--csv'],
    gpus: [],
    doctor: ['--network'],
    'wallet create': [],
    'wallet import': [],
    'wallet show': [],
    'wallet export': ['--yes'],
    'settings show': [],
    'settings set': [],
    'settings path': [],
  };

  it('has help on every command', { timeout: 60_000 }, async () => {
    const all = await hearth(['--help']);
    expect(all.code).toBe(0);
    for (const [command, options] of Object.entries(OPTIONS)) {
      expect(all.stdout).toContain(command.split(' ')[0]);
      const help = await hearth([...command.split(' '), '--help']);
      expect(help).toMatchObject({ code: 0, stderr: '' });
      for (const option of [...options, '--json', '--home']) expect(help.stdout).toContain(option);
    }
    expect(all.stdout).not.toContain('role');
  });

  it('says what it does not know, and exits with 1', async () => {
    for (const [args, words] of [
      [['pracitce'], 'practice'],
      [['practice', '--shard', '3'], '--shards'],
      [['settings', 'set', 'x'], 'value'],
      [['relay'], '--network-id'],
      [['role', 'chain'], 'hearth practice'],
    ] as const) {
      const ended = await hearth(args);
      expect(ended).toMatchObject({ code: 1, stdout: '' });
      expect(ended.stderr).toContain(words);
    }
  });
});
