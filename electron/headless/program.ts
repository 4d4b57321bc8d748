import { Command } from 'commander';
import { resolvePaths, type Paths } from '#core/settings/paths.ts';
import { createOutput, type Output } from './terminal/output.ts';

/** What every command gets: where things are, and where its words go. */
export interface CommandContext {
  readonly paths: Paths;
  readonly output: Output;
}

export interface GlobalOptions {
  readonly json?: boolean;
  readonly home?: string;
}

/** A command's action, loaded when it is called: `hearth --help` does not pay for a network stack. */
type Action = (context: CommandContext, options: never, args: readonly string[]) => Promise<void>;

const VERSION = '0.1.0';

/** The `hearth` command line. */
export function createProgram(): Command {
  const program = new Command('hearth')
    .description('Puts the idle GPU of this machine to work for an open AI network and pays its owner.')
    .version(VERSION)
    .showHelpAfterError('(see: hearth --help)')
    .addHelpText(
      'after',
      `
Start here:
  hearth practice        a whole network on this machine, with pretend money: see it earn within a minute
  hearth doctor          what works on this machine, what does not, and what to do about it
  hearth wallet create   before joining a network that pays for real
`,
    );

  command(program, 'start', 'Join the network and work for it until stopped', () =>
    import('./commands/start.ts').then((m) => m.start),
  )
    .option('--network <file>', "a network file, or 'practice' (default: the setting)")
    .option('--metrics <port>', 'serve Prometheus metrics on this loopback port');
  command(program, 'practice', 'Run a whole network on this machine: chain, relay, requester, contributor', () =>
    import('./commands/practice.ts').then((m) => m.practice),
  )
    .option('--shards <number>', 'stop after this many shards were verified and paid on chain')
    .option('--contributors <number>', 'how many contributors to run', '1')
    .option('--no-requester', 'bring up the network only; give it work with: hearth submit')
    .option('--fresh', 'forget the former practice network first');
  command(program, 'relay', 'Run a bootstrap relay with its own STUN responder', () =>
    import('./commands/relay.ts').then((m) => m.relay),
  )
    .requiredOption('--network-id <id>', 'the network it serves')
    .option('--tcp <port>', 'TCP port', '4001')
    .option('--ws <port>', 'WebSocket port', '4002')
    .option('--stun <port>', 'STUN port (UDP)', '3478')
    .option('--listen <address>', 'address to listen on', '0.0.0.0')
    .option('--announce <multiaddr...>', 'addresses to tell others, where they differ');

  const submit = program.command('submit').description('Have work done by the network');
  command(submit, 'infer', 'Run an ONNX model over inputs', () =>
    import('./commands/submit-infer.ts').then((m) => m.submitInfer),
  )
    .requiredOption('--model <file>', 'the model, ONNX')
    .requiredOption('--input <file...>', '.npz, .npy, or raw bytes as NAME=FILE:dtype:dims (x=a.bin:float32:10x3x8)')
    .option('--output <file>', 'where the results go', 'results.npz')
    .option('--network <file>', "a network file, or 'practice'", 'practice')
    .option('--batch <number>', 'rows of the input per shard, for models whose first dimension is open', '1')
    .option(
      '--checks <policy>',
      'full: every result is verified; adaptive: proven peers are sampled; referee: recomputed here',
      'full',
    )
    .option('--price <wei>', 'pay per shard, in the smallest unit of the token', '1000000000000000')
    .option('--budget <wei>', 'spend at most this (default: shards x price x 4)')
    .option('--tolerance <number>', 'relative L2 within which two answers agree', '0.00001');

  command(program, 'status', 'What the agent on this machine is doing', () =>
    import('./commands/status.ts').then((m) => m.status),
  );
  command(program, 'earnings', 'What was earned, what is settled, what is pending', () =>
    import('./commands/earnings.ts').then((m) => m.earnings),
  )
    .option('--network <file>', "a network file, or 'practice' (default: the setting)")
    .option('--csv', 'one line per settlement, for spreadsheets');
  command(program, 'gpus', 'The GPUs of this machine and what each can run', () =>
    import('./commands/gpus.ts').then((m) => m.gpus),
  );
  command(program, 'doctor', 'Check this machine and say in plain words what to do', () =>
    import('./commands/doctor.ts').then((m) => m.doctor),
  ).option('--network <file>', "a network file, or 'practice' (default: the setting)");

  const wallet = program.command('wallet').description('The key that earns: create, import, show, export');
  command(wallet, 'create', 'Make a new wallet and show its phrase once', () =>
    import('./commands/wallet.ts').then((m) => m.create),
  );
  command(wallet, 'import', 'Restore a wallet from its phrase or key, read from standard input', () =>
    import('./commands/wallet.ts').then((m) => m.importWallet),
  );
  command(wallet, 'show', 'Show the address', () => import('./commands/wallet.ts').then((m) => m.show));
  command(wallet, 'export', 'Print the private key, after asking', () =>
    import('./commands/wallet.ts').then((m) => m.exportKey),
  ).option('--yes', 'do not ask; for scripts that know what they do');

  const settings = program.command('settings').description('Read and change the settings');
  command(settings, 'show', 'Every setting', () => import('./commands/settings.ts').then((m) => m.show));
  command(settings, 'set <name> <value>', 'Change one: hearth settings set market.minPriceWei 1000', () =>
    import('./commands/settings.ts').then((m) => m.set),
  );
  command(settings, 'path', 'Where the settings are', () => import('./commands/settings.ts').then((m) => m.path));

  command(
    program,
    'role <name>',
    'One process of the practice network',
    () => import('./commands/role.ts').then((m) => m.role),
    { hidden: true },
  );
  return program;
}

function command(
  parent: Command,
  usage: string,
  description: string,
  load: () => Promise<Action>,
  options: { readonly hidden?: boolean } = {},
): Command {
  return parent
    .command(usage, options)
    .description(description)
    .option('--json', 'one JSON object a line, for scripts')
    .option('--home <dir>', "keep everything under this folder (default: the platform's own places, or HEARTH_HOME)")
    .action(async (...given: unknown[]) => {
      const self = given.at(-1) as Command;
      const flags: GlobalOptions & Record<string, unknown> = self.opts();
      const context: CommandContext = { paths: resolvePaths(flags.home), output: createOutput(flags.json === true) };
      const action = await load();
      await action(context, flags as never, self.args);
    });
}
