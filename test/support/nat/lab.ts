import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { spawnSync } from 'node:child_process';

const run = promisify(execFile);

/** Addresses of the lab's own little internet; it is connected to nothing. */
export const RELAY_HOST = '11.0.0.1';

/** Why no lab can be built here, or undefined. Namespaces need root; the NAT needs nftables. */
export function missingForNat(): string | undefined {
  if (process.platform !== 'linux') return 'Linux network namespaces';
  if (process.getuid?.() !== 0) return 'root, for network namespaces';
  for (const [command, argument] of [
    ['ip', '-V'],
    ['nft', '-v'],
  ] as const) {
    if (spawnSync(command, [argument]).status !== 0) return `the command ${command}`;
  }
  const probe = `hearthprobe${process.pid}`;
  if (spawnSync('ip', ['netns', 'add', probe]).status !== 0) return 'permission to make network namespaces';
  spawnSync('ip', ['netns', 'del', probe]);
  return undefined;
}

export interface NatLab {
  /** Command and arguments that run `command` in the namespace of the relay or of a home. */
  inside(place: 'relay' | 'left' | 'right', command: readonly string[]): readonly [string, readonly string[]];
  remove(): Promise<void>;
}

/**
 * A relay and two homes, each home behind a router of its own that masquerades, keeps the source port and drops
 * whatever was not asked for from inside. All of it in namespaces made here; the host's own tables and interfaces
 * are not touched, so deleting the namespaces deletes everything.
 */
export async function buildNatLab(): Promise<NatLab> {
  const prefix = `hearth${process.pid}`;
  const name = (part: string): string => `${prefix}-${part}`;
  const places = ['relay', 'left', 'right', 'left-router', 'right-router'];
  const remove = async (): Promise<void> => {
    await Promise.all(places.map((place) => run('ip', ['netns', 'del', name(place)]).catch(() => undefined)));
  };
  const ip = async (place: string, ...args: string[]) => run('ip', ['-n', name(place), ...args]);
  try {
    for (const place of places) {
      await run('ip', ['netns', 'add', name(place)]);
      await ip(place, 'link', 'set', 'lo', 'up');
    }
    await ip('relay', 'link', 'add', 'internet', 'type', 'bridge');
    await ip('relay', 'addr', 'add', `${RELAY_HOST}/24`, 'dev', 'internet');
    await ip('relay', 'link', 'set', 'internet', 'up');
    for (const [index, home] of ['left', 'right'].entries()) {
      await addHome({ home, router: `${home}-router`, number: index + 2, name, ip });
    }
  } catch (cause) {
    await remove();
    throw cause;
  }
  return { inside: (place, command) => ['ip', ['netns', 'exec', name(place), ...command]], remove };
}

interface HomePlan {
  readonly home: string;
  readonly router: string;
  readonly number: number;
  readonly name: (part: string) => string;
  readonly ip: (place: string, ...args: string[]) => Promise<unknown>;
}

async function addHome({ home, router, number, name, ip }: HomePlan): Promise<void> {
  await link(name('relay'), `to-${home}`, name(router), 'wan');
  await ip('relay', 'link', 'set', `to-${home}`, 'master', 'internet', 'up');
  await ip(router, 'addr', 'add', `11.0.0.${number}/24`, 'dev', 'wan');
  await ip(router, 'link', 'set', 'wan', 'up');
  await link(name(router), 'lan', name(home), 'eth0');
  await ip(router, 'addr', 'add', `10.0.${number}.1/24`, 'dev', 'lan');
  await ip(router, 'link', 'set', 'lan', 'up');
  await ip(home, 'addr', 'add', `10.0.${number}.2/24`, 'dev', 'eth0');
  await ip(home, 'link', 'set', 'eth0', 'up');
  await ip(home, 'route', 'add', 'default', 'via', `10.0.${number}.1`);
  const inRouter = ['netns', 'exec', name(router)];
  await run('ip', [...inRouter, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
  await run('ip', [...inRouter, 'nft', RULES]);
}

async function link(left: string, leftName: string, right: string, rightName: string): Promise<void> {
  await run('ip', ['link', 'add', leftName, 'netns', left, 'type', 'veth', 'peer', 'name', rightName, 'netns', right]);
}

// Unasked packets are dropped before they are tracked: a tracked one would take the port that the home's own
// packet is to keep a moment later.
const RULES = `
table ip home {
  chain incoming {
    type filter hook input priority 0; policy accept;
    iifname "wan" ct state new drop
  }
  chain outgoing {
    type nat hook postrouting priority 100;
    oifname "wan" masquerade
  }
  chain passing {
    type filter hook forward priority 0; policy drop;
    iifname "lan" accept
    ct state established,related accept
  }
}`;
