import pc from 'picocolors';
import { checkChain } from './doctor/chain.ts';
import { checkCompute } from './doctor/compute.ts';
import { checkMachine } from './doctor/machine.ts';
import type { Finding } from './doctor/finding.ts';
import { loadSettings } from '#core/settings/store.ts';
import type { CommandContext } from '../program.ts';

const MARKS: Readonly<Record<Finding['state'], string>> = { ok: pc.green('✓'), note: pc.yellow('!'), bad: pc.red('✗') };

/** Looks at everything a contributor needs, and says in plain words what is wrong and what to do. */
export async function doctor(context: CommandContext, options: { readonly network?: string }): Promise<void> {
  const { paths, output } = context;
  output.note('Looking at this machine ...');
  const settings = await loadSettings(paths.config);
  const network = options.network ?? (settings.ok ? settings.value.network : 'practice');
  const findings = (
    await Promise.all([checkMachine(paths, settings), checkCompute(), checkChain(network, paths)])
  ).flat();
  const bad = findings.filter((finding) => finding.state === 'bad').length;
  if (bad > 0) process.exitCode = 1;
  output.result({ healthy: bad === 0, findings }, () =>
    [
      ...findings.flatMap((finding) => [
        `${MARKS[finding.state]} ${finding.about.padEnd(12)} ${finding.says}`,
        ...(finding.remedy === undefined ? [] : [`  ${''.padEnd(12)} ${pc.dim('→')} ${finding.remedy}`]),
      ]),
      '',
      bad === 0 ? 'This machine can work.' : `${bad} ${bad === 1 ? 'thing stands' : 'things stand'} in the way.`,
    ].join('\n'),
  );
}
