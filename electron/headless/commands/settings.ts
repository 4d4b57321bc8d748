import { withSetting } from '#core/settings/edit.ts';
import { loadSettings, saveSettings, settingsFile } from '#core/settings/store.ts';
import type { CommandContext } from '../program.ts';

export async function show({ paths, output }: CommandContext): Promise<void> {
  const loaded = await loadSettings(paths.config);
  if (!loaded.ok) return output.fail(loaded.error);
  output.result(loaded.value, () => JSON.stringify(loaded.value, null, 2));
}

export async function set(
  { paths, output }: CommandContext,
  _options: unknown,
  args: readonly string[],
): Promise<void> {
  const [name = '', value = ''] = args;
  const loaded = await loadSettings(paths.config);
  if (!loaded.ok) return output.fail(loaded.error);
  const saved = await saveSettings(paths.config, withSetting(loaded.value, name, value));
  if (!saved.ok) return output.fail(saved.error);
  output.result({ changed: name, value }, () => `${name} is now ${value}. A running agent takes it at its next start.`);
}

export async function path({ paths, output }: CommandContext): Promise<void> {
  const file = settingsFile(paths.config);
  output.result({ path: file }, () => file);
}
