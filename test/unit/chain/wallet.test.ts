import { createHook } from 'node:async_hooks';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Wallet } from 'ethers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createWallet,
  exportWallet,
  importWallet,
  passphraseFromEnvironment,
  unlockWallet,
  walletAddress,
} from '#core/chain/wallet/wallet.ts';

const PHRASE = 'test test test test test test test test test test test junk';
// BIP-44 account 0 of the phrase above, known to every Ethereum tool.
const PHRASE_ADDRESS = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266';
const KEY = `0x${'11'.repeat(32)}`;
const PASSPHRASE = 'correct horse';

let directory: string;
let file: string;
const give = (text: string | undefined) => () => Promise.resolve(text);
const options = (passphrase: string | null = PASSPHRASE) => ({
  file,
  passphrase: give(passphrase ?? undefined),
  scryptN: 1024,
});

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hearth-wallet-'));
  file = path.join(directory, 'inner', 'wallet.json');
});

afterEach(async () => rm(directory, { recursive: true, force: true }));

function good<T>(result: { ok: true; value: T } | { ok: false; error: { code: string } }): T {
  if (!result.ok) throw new Error(result.error.code);
  return result.value;
}

function codeOf(result: { ok: boolean; error?: { code: string } }): string | undefined {
  return result.error?.code;
}

describe('a wallet', () => {
  it('is made with a phrase that makes the same wallet elsewhere', async () => {
    const { address, phrase } = good(await createWallet(options()));
    expect(phrase.split(' ')).toHaveLength(12);
    expect(Wallet.fromPhrase(phrase).address).toBe(address);
    const unlocked = good(await unlockWallet(options()));
    expect(new Wallet(`0x${Buffer.from(unlocked.privateKey).toString('hex')}`).address).toBe(address);
    expect(good(await walletAddress(file)).toLowerCase()).toBe(address.toLowerCase());
  });

  it('is imported from a phrase, however it is typed, and from a private key', async () => {
    expect(
      good(await importWallet({ ...options(), secret: `  ${PHRASE.toUpperCase().replaceAll(' ', '  ')}\n` })),
    ).toEqual({
      address: PHRASE_ADDRESS,
    });
    await rm(file);
    expect(good(await importWallet({ ...options(), secret: KEY.slice(2) })).address).toBe(new Wallet(KEY).address);
  });

  it('opens with the keystore format of other wallets, and its file opens in them', async () => {
    good(await importWallet({ ...options(), secret: KEY }));
    const foreign = await Wallet.fromEncryptedJson(await readFile(file, 'utf8'), PASSPHRASE);
    expect(foreign.address).toBe(new Wallet(KEY).address);
    const text = await new Wallet(KEY).encrypt('another passphrase');
    await writeFile(file, text.replace('"Crypto"', '"crypto"'));
    expect(good(await unlockWallet(options('another passphrase'))).address).toBe(foreign.address);
  });

  it('is never overwritten', async () => {
    good(await createWallet(options()));
    const before = await readFile(file, 'utf8');
    expect(codeOf(await createWallet(options()))).toBe('wallet.exists');
    expect(codeOf(await importWallet({ ...options(), secret: KEY }))).toBe('wallet.exists');
    expect(await readFile(file, 'utf8')).toBe(before);
  });

  it('survives two makers at the same moment: one wins, the other is told', async () => {
    const results = await Promise.all([createWallet(options()), createWallet(options())]);
    expect(results.filter((result) => result.ok)).toHaveLength(1);
    expect(results.map(codeOf)).toContain('wallet.exists');
    expect(await readdir(path.dirname(file))).toEqual(['wallet.json']);
  });

  it.skipIf(process.platform === 'win32')('is readable by its owner only', async () => {
    good(await createWallet(options()));
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(path.dirname(file))).mode & 0o777).toBe(0o700);
  });

  it('wipes its key from memory when it is locked', async () => {
    good(await importWallet({ ...options(), secret: KEY }));
    const unlocked = good(await unlockWallet(options()));
    expect(unlocked.privateKey.every((byte) => byte === 0x11)).toBe(true);
    unlocked.lock();
    expect(unlocked.privateKey.every((byte) => byte === 0)).toBe(true);
  });

  it('computes its keystore on a thread, not on the event loop', async () => {
    const types: string[] = [];
    const hook = createHook({ init: (_id, type) => types.push(type) }).enable();
    good(await importWallet({ ...options(), secret: KEY }));
    good(await unlockWallet(options()));
    hook.disable();
    // What node:crypto's asynchronous scrypt is called inside Node; ethers' own in JavaScript makes none.
    expect(types.filter((type) => type === 'SCRYPTREQUEST')).toHaveLength(2);
  });
});

describe('a wallet that cannot be opened', () => {
  it('says so in a code, and never with a secret in it', async () => {
    good(await importWallet({ ...options(), secret: PHRASE }));
    const wrong = await unlockWallet(options('not the passphrase'));
    expect(codeOf(wrong)).toBe('wallet.wrong_passphrase');
    expect(JSON.stringify(wrong)).not.toContain('not the passphrase');
    expect(codeOf(await unlockWallet(options(null)))).toBe('wallet.locked');
    expect(codeOf(await unlockWallet({ ...options(), file: `${file}.none` }))).toBe('wallet.not_found');
    expect(codeOf(await walletAddress(directory))).toBe('wallet.disk_failed');
  });

  it.each([
    ['empty', () => ''],
    ['cut short', (text: string) => text.slice(0, text.length / 2)],
    ['of another kind', () => '{"version":3}'],
    ['asking for all memory', (text: string) => text.replace('"n":1024', '"n":1073741824')],
    ['with another address than its key', (text: string) => text.replace(/"address":"..../, '"address":"0000')],
    ['too large', (text: string) => text + ' '.repeat(100_000)],
  ])('is damaged when its file is %s', async (_what, damage) => {
    good(await importWallet({ ...options(), secret: KEY }));
    const text = await readFile(file, 'utf8');
    expect(damage(text)).not.toBe(text);
    await writeFile(file, damage(text));
    expect(codeOf(await unlockWallet(options()))).toBe('wallet.damaged');
  });

  it.each([
    '',
    'abandon '.repeat(12),
    `${PHRASE} junk`,
    `0x${'00'.repeat(32)}`,
    `0x${'ff'.repeat(32)}`,
    'a'.repeat(5000),
  ])('is not made of a secret that is none (%#)', async (secret) => {
    expect(codeOf(await importWallet({ ...options(), secret }))).toBe('wallet.secret_invalid');
  });

  it('is not made with a passphrase that is too short or missing', async () => {
    expect(codeOf(await createWallet(options('short')))).toBe('wallet.passphrase_too_short');
    expect(codeOf(await createWallet(options(null)))).toBe('wallet.locked');
  });

  it('is a coded error when its folder cannot be written', async () => {
    await writeFile(path.join(directory, 'inner'), 'a file where the folder should be');
    expect(codeOf(await createWallet(options()))).toBe('wallet.disk_failed');
  });
});

describe('the secret', () => {
  it('is shown only to who confirms', async () => {
    good(await importWallet({ ...options(), secret: PHRASE }));
    const asked: string[] = [];
    const confirm = (answer: boolean) => (address: string) => {
      asked.push(address.toLowerCase());
      return Promise.resolve(answer);
    };
    expect(codeOf(await exportWallet({ ...options(), confirm: confirm(false) }))).toBe('wallet.not_confirmed');
    expect(good(await exportWallet({ ...options(), confirm: confirm(true) }))).toEqual({
      kind: 'phrase',
      text: PHRASE,
    });
    expect(asked).toEqual([PHRASE_ADDRESS.toLowerCase(), PHRASE_ADDRESS.toLowerCase()]);
  });

  it('is the key where the wallet has no phrase', async () => {
    good(await importWallet({ ...options(), secret: KEY }));
    const exported = good(await exportWallet({ ...options(), confirm: () => Promise.resolve(true) }));
    expect(exported).toEqual({ kind: 'private_key', text: KEY });
  });

  it('can come from the environment', async () => {
    process.env['HEARTH_TEST_PASSPHRASE'] = PASSPHRASE;
    try {
      expect(await passphraseFromEnvironment('HEARTH_TEST_PASSPHRASE')()).toBe(PASSPHRASE);
      expect(await passphraseFromEnvironment('HEARTH_TEST_NONE')()).toBeUndefined();
    } finally {
      delete process.env['HEARTH_TEST_PASSPHRASE'];
    }
  });
});
