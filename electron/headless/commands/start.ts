import path from 'node:path';
import { startAgent, type Agent } from '#core/agent.ts';
import { openLogFile } from '#core/obs/logger.ts';
import { serveMetrics } from '#core/obs/metrics-server.ts';
import { loadSettings } from '#core/settings/store.ts';
import { appError } from '#shared/errors.ts';
import { serveControl } from '../control/server.ts';
import { AgentView } from '../terminal/agent-view.ts';
import { sentence, toJson } from '../terminal/output.ts';
import { untilStopped } from '../terminal/until-stopped.ts';
import type { CommandContext } from '../program.ts';
import { practiceFaucet } from './parts/faucet.ts';
import { executorFiles } from './parts/layout.ts';
import { loadNetworkFile, PRACTICE } from './parts/network-file.ts';
import { openPurse } from './parts/purse.ts';

interface StartFlags {
  readonly network?: string;
  readonly metrics?: string;
}

/** A contributor's agent in the foreground, until stopped. */
export async function start(context: CommandContext, flags: StartFlags): Promise<void> {
  const { paths, output } = context;
  if (flags.metrics !== undefined && !(/^\d{1,5}$/.test(flags.metrics) && Number(flags.metrics) <= 65_535)) {
    return output.fail(
      appError('command.invalid_option', '--metrics takes a port number, 0 to 65535.', {
        remedy: 'See: hearth start --help',
      }),
    );
  }
  const settings = await loadSettings(paths.config);
  if (!settings.ok) return output.fail(settings.error);
  const name = flags.network ?? settings.value.network;
  const networkFile = await loadNetworkFile(name, paths);
  if (!networkFile.ok) return output.fail(networkFile.error);
  const wallet = await openPurse(paths, name);
  if (!wallet.ok) return output.fail(wallet.error);

  let agent: Agent | undefined;
  const stopAsked = Promise.withResolvers<void>();
  const control = await serveControl(paths.data, {
    status: () => agent?.hub.state,
    settle: () => agent?.provider.settleNow(),
    stop: () => stopAsked.resolve(),
  });
  if (!control.ok) return output.fail(control.error);
  const log = openLogFile({ directory: paths.logs, name: 'agent', level: settings.value.log.level });
  const started = await startAgent({
    // Keys, vouchers and the chain's index belong to one network: each has a folder of its own.
    directory: path.join(paths.data, 'networks', networkFile.value.networkId),
    networkFile: networkFile.value,
    settings: settings.value,
    wallet: wallet.value,
    executor: executorFiles(),
    logger: log.logger,
    local: name === PRACTICE,
    findGas: name === PRACTICE ? practiceFaucet(networkFile.value, wallet.value.address) : undefined,
    ...(output.json ? { onEvent: (event) => void process.stdout.write(`${toJson(event)}\n`) } : {}),
  });
  if (!started.ok) {
    await control.value.close();
    await log.close();
    return output.fail(started.error);
  }
  agent = started.value;

  const metricsPort =
    flags.metrics ?? (settings.value.metrics.enabled ? String(settings.value.metrics.port) : undefined);
  const metrics =
    metricsPort === undefined ? undefined : await serveMetrics(agent.metrics.registry, Number(metricsPort));
  if (metrics?.ok === true) output.note(`Metrics: ${metrics.value.url}`);
  else if (metrics !== undefined) output.note(sentence(metrics.error));

  const view = output.json ? undefined : new AgentView(agent.hub);
  const stop = untilStopped();
  await Promise.race([stop.asked, stopAsked.promise]);
  view?.close();
  output.note('Stopping: finishing what has begun, settling what is owed ...');
  await agent.stop({ graceful: true });
  if (metrics?.ok === true) await metrics.value.close();
  await control.value.close();
  await log.close();
  stop.forget();
  const { earnedWei, settledWei } = agent.hub.state.money;
  output.result({ type: 'agent.stopped', earnedWei, settledWei }, () => 'Stopped.');
}
