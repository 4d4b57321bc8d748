// A role for the supervisor's tests: says what it is told to say, dies when it is told to die.
import { appError } from '#shared/errors.ts';
import { err, ok } from '#shared/result.ts';
import { serveRole } from '../../../electron/headless/roles/serve-role.ts';

serveRole(async (config, emit) => {
  const { mode } = config as { readonly mode: string };
  if (mode === 'refuse') return err(appError('parrot.refused', 'No seeds.', { remedy: 'Bring seeds.' }));
  if (mode === 'crash') throw new Error('fell off the perch');
  emit({ type: 'parrot.awake' });
  return ok({
    ready: { pid: process.pid },
    ask: async (what: string, about: unknown) => {
      if (what === 'die') process.kill(process.pid, 'SIGKILL');
      if (what === 'silence') await new Promise(() => {});
      return { what, about };
    },
    // A stop that never ends, for the insisting half of stop().
    stop: () => (mode === 'stubborn' ? new Promise<void>(() => {}) : Promise.resolve()),
  });
});
// Keeps a stubborn parrot alive: a pending promise alone would let the process end.
setInterval(() => {}, 60_000);
