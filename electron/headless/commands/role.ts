import { serveRole, type StartRole } from '../roles/serve-role.ts';
import { appError } from '#shared/errors.ts';
import type { CommandContext } from '../program.ts';

const ROLES: Readonly<Record<string, () => Promise<StartRole>>> = {
  chain: () => import('../roles/chain-role.ts').then((module) => module.startChainRole),
  relay: () => import('../roles/relay-role.ts').then((module) => module.startRelayRole),
  requester: () => import('../roles/requester-role.ts').then((module) => module.startRequesterRole),
  contributor: () => import('../roles/contributor-role.ts').then((module) => module.startContributorRole),
};

/** The inside of one process of the practice network; its supervisor speaks to it over Node's IPC channel. */
export async function role({ output }: CommandContext, _options: unknown, args: readonly string[]): Promise<void> {
  const load = ROLES[args[0] ?? ''];
  if (load === undefined || process.send === undefined) {
    return output.fail(
      appError('command.not_for_people', 'This command is for Hearth itself.', { remedy: 'Try: hearth practice' }),
    );
  }
  serveRole(await load());
}
