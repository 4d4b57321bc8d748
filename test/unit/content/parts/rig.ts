import { createCipheriv } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { createContent } from '#core/content/create-content.ts';
import type { ContentOptions } from '#core/content/create-content.ts';
import type { Content } from '#core/content/port.ts';
import type { Result } from '#shared/result.ts';
import { MiB } from '#shared/units.ts';
import type { MemoryNet, MemoryPeer } from '#support/memory-network.ts';
import { tempDir } from '#support/temp-dir.ts';

export function value<T>(result: Result<T, { readonly code: string; readonly message: string }>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

/** Bytes that look random, the same for the same seed. */
export function noise(bytes: number, seed = 1): Uint8Array {
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, seed), Buffer.alloc(16));
  return cipher.update(new Uint8Array(bytes));
}

export interface Node {
  readonly content: Content;
  readonly peer: MemoryPeer;
  readonly directory: string;
}

/** A node with content over the memory network, stopped when the test has ended. */
export async function contentNode(net: MemoryNet, name: string, options: Partial<ContentOptions> = {}): Promise<Node> {
  const directory = options.directory ?? tempDir('hearth-content-');
  const peer = net.peer(name);
  const content = value(await createContent({ network: peer.network, directory, budgetBytes: 256 * MiB, ...options }));
  onTestFinished(() => content.stop());
  return { content, peer, directory };
}
