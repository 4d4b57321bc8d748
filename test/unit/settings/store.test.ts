import { readFileSync, writeFileSync, existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { tempDir } from '#support/temp-dir.ts';
import { defaultSettings } from '#shared/model/settings.ts';
import { loadSettings, parseSettings, saveSettings, settingsFile } from '#core/settings/store.ts';
import { withSetting } from '#core/settings/edit.ts';

describe('settings on disk', () => {
  it('are the defaults when there is no file', async () => {
    const loaded = await loadSettings(tempDir());
    expect(loaded).toEqual({ ok: true, value: defaultSettings() });
  });

  it('come back as they were saved, readable by their owner only', async () => {
    const folder = path.join(tempDir(), 'new/folder');
    const wanted = { ...defaultSettings(), metrics: { enabled: true, port: 9999 } };
    expect((await saveSettings(folder, wanted)).ok).toBe(true);
    expect(await loadSettings(folder)).toEqual({ ok: true, value: wanted });
  });

  it('keep the former file beside the new one', async () => {
    const folder = tempDir();
    await saveSettings(folder, defaultSettings());
    await saveSettings(folder, { ...defaultSettings(), network: '/somewhere.json' });
    expect(JSON.parse(readFileSync(`${settingsFile(folder)}.previous`, 'utf8'))).toMatchObject({ network: 'practice' });
  });

  it.each([
    ['{"version":1,', 'settings.not_json', undefined],
    ['[]', 'settings.invalid', ''],
    ['{"version":1,"metrics":{"port":70000}}', 'settings.invalid', 'metrics.port'],
    ['{"version":1,"market":{"minPriceWei":-1}}', 'settings.invalid', 'market.minPriceWei'],
    ['{"version":1,"netwrok":"practice"}', 'settings.invalid', ''],
    ['{"version":99}', 'settings.from_newer_version', undefined],
  ])('refuse %s with %s and leave the file alone', async (text, code, setting) => {
    const folder = tempDir();
    writeFileSync(settingsFile(folder), text);
    const loaded = await loadSettings(folder);
    expect(loaded).toMatchObject({
      ok: false,
      error: { code, ...(setting === undefined ? {} : { data: { setting } }) },
    });
    expect(readFileSync(settingsFile(folder), 'utf8')).toBe(text);
  });

  it('of the unversioned preview format are migrated', async () => {
    const folder = tempDir();
    writeFileSync(settingsFile(folder), '{"network":"/mine.json"}');
    expect(await loadSettings(folder)).toMatchObject({ ok: true, value: { version: 1, network: '/mine.json' } });
  });

  it('are not written at all when they are invalid', async () => {
    const folder = path.join(tempDir(), 'untouched');
    const saved = await saveSettings(folder, { ...defaultSettings(), log: { level: 'loud' } });
    expect(saved).toMatchObject({ ok: false, error: { code: 'settings.invalid', data: { setting: 'log.level' } } });
    expect(existsSync(folder)).toBe(false);
  });

  it('refuse an amount that is no number, or more than a channel holds, by name', () => {
    for (const minPriceWei of ['much', '-1', '1e3', '', '9'.repeat(77)]) {
      expect(parseSettings(JSON.stringify({ version: 1, market: { minPriceWei } }), 'settings.json')).toMatchObject({
        ok: false,
        error: { code: 'settings.invalid', data: { setting: 'market.minPriceWei' } },
      });
    }
  });

  it('say what to do when the folder cannot be written', async () => {
    const blocked = path.join(tempDir(), 'a-file');
    writeFileSync(blocked, '');
    const saved = await saveSettings(path.join(blocked, 'config'), defaultSettings());
    expect(saved).toMatchObject({ ok: false, error: { code: 'settings.not_saved' } });
  });

  it('that cannot be read are an error, not the defaults', async () => {
    const folder = tempDir();
    mkdirSync(settingsFile(folder));
    expect(await loadSettings(folder)).toMatchObject({ ok: false, error: { code: 'settings.unreadable' } });
  });
});

describe('one setting typed on a command line', () => {
  it('keeps the type of what it replaces', async () => {
    const folder = tempDir();
    const price = await saveSettings(folder, withSetting(defaultSettings(), 'market.minPriceWei', '100'));
    expect(price).toMatchObject({ ok: true, value: { market: { minPriceWei: '100' } } });
    const port = await saveSettings(folder, withSetting(defaultSettings(), 'metrics.port', '9465'));
    expect(port).toMatchObject({ ok: true, value: { metrics: { port: 9465 } } });
  });

  it.each(['metrics.prot', 'nothing.at.all', '__proto__.polluted', 'log'])('is refused when it is %s', async (name) => {
    const saved = await saveSettings(tempDir(), withSetting(defaultSettings(), name, '1'));
    expect(saved).toMatchObject({ ok: false, error: { code: 'settings.invalid' } });
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });
});
