import { createCompute } from '#core/compute/create-compute.ts';
import { executorFiles } from '../parts/layout.ts';
import type { Finding } from './finding.ts';

const TIERS: Readonly<Record<string, string>> = {
  jail: 'a jail of the system: its own view of files, no network',
};

/** Does a sandboxed executor start here, what is it denied, and what can it compute with? */
export async function checkCompute(): Promise<readonly Finding[]> {
  const compute = createCompute(executorFiles());
  try {
    const report = await compute.sandbox();
    const backends = await compute.backends();
    const usable = backends.filter((probe) => probe.available).map((probe) => probe.placement.backend);
    const sandbox: Finding =
      report.gaps.length === 0
        ? { about: 'Sandbox', state: 'ok', says: `Shards are shut in (${TIERS[report.tier] ?? report.tier}).` }
        : {
            about: 'Sandbox',
            state: 'note',
            says: `Shards are shut in, with gaps. ${report.gaps.join(' ')}`,
            remedy: report.rejected.map(({ tier, reason }) => `${tier}: ${reason}`).join(' '),
          };
    return [sandbox, { about: 'Backends', state: 'ok', says: `Shards can run on ${usable.join(' and ')}.` }];
  } catch (error) {
    return [
      {
        about: 'Sandbox',
        state: 'bad',
        says: `No executor can be started (${error instanceof Error ? error.message : 'unknown'}).`,
        remedy: 'Install Hearth again; if it stays so, report it with the output of: hearth doctor --json',
      },
    ];
  } finally {
    await compute.stop();
  }
}
