import { open } from 'node:fs/promises';

/** Changes a file behind the store's back, as a failing disk would. */
export async function writeFileAt(file: string, position: number, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(bytes, 0, bytes.byteLength, position);
  await handle.close();
}
