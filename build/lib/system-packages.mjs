// What the tests use of the operating system. Installed on Debian as root; elsewhere the tests that need it are
// skipped by name, and this says what to install.
import { existsSync } from 'node:fs';
import { runQuietly } from './steps.mjs';

/** Debian package -> a file that shows it is there. */
const WANTED = {
  // Its SwiftShader is a Vulkan device in software: WebGPU shards run for real on a machine without a GPU.
  chromium: '/usr/lib/chromium/vk_swiftshader_icd.json',
  libvulkan1: '/usr/lib/x86_64-linux-gnu/libvulkan.so.1',
  // Two homes behind two NATs, as network namespaces of the tests' own.
  iproute2: '/usr/sbin/ip',
  nftables: '/usr/sbin/nft',
};

/** @param {(line: string) => void} say */
export async function ensureSystemPackages(say) {
  if (process.platform !== 'linux') return;
  const missing = Object.entries(WANTED)
    .filter(
      ([, file]) => !existsSync(file) && !existsSync(file.replace('/usr/sbin', '/sbin').replace('x86_64', 'aarch64')),
    )
    .map(([name]) => name);
  if (missing.length === 0) return;
  const canInstall = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
  if (!canInstall) {
    say(`some tests will be skipped; for all of them install: ${missing.join(' ')}`);
    return;
  }
  say(`Debian packages for the tests: ${missing.join(' ')} ...`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await runQuietly('apt-get', ['update', '-q'], { cwd: '/', env });
    await runQuietly('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...missing], { cwd: '/', env });
  } catch (error) {
    say(
      `they could not be installed, so some tests will be skipped by name: ${error instanceof Error ? error.message.split('\n').slice(-1)[0] : ''}`,
    );
  }
}
