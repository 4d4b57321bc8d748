import { nodeFiles } from '#core/content/disk/files.ts';
import type { Files, OpenFile } from '#core/content/disk/files.ts';

/** Called before each operation with its name and running number; a code makes it fail as the system would. */
export type Trouble = (operation: string, number: number) => string | undefined;

export class FaultyFiles {
  /** May be changed at any time; counts from 1 again when it is. */
  #trouble: Trouble = () => undefined;
  #count = 0;

  set trouble(trouble: Trouble) {
    this.#trouble = trouble;
    this.#count = 0;
  }

  get count(): number {
    return this.#count;
  }

  get files(): Files {
    const before = (operation: string): void => this.#before(operation);
    const wrapped = (file: OpenFile): OpenFile => ({
      read: (into, position) => after('read', () => file.read(into, position)),
      write: (bytes, position) => after('write', () => file.write(bytes, position)),
      truncate: (size) => after('truncate', () => file.truncate(size)),
      size: () => after('size', () => file.size()),
      sync: () => after('sync', () => file.sync()),
      close: () => file.close(),
    });
    const after = async <T>(operation: string, run: () => Promise<T>): Promise<T> => {
      before(operation);
      return run();
    };
    return {
      open: (file, mode) => after('open', async () => wrapped(await nodeFiles.open(file, mode))),
      readSmall: (file, max) => after('readSmall', () => nodeFiles.readSmall(file, max)),
      replace: (file, bytes) => after('replace', () => nodeFiles.replace(file, bytes)),
      fileSize: (file) => after('fileSize', () => nodeFiles.fileSize(file)),
      makeFolder: (folder) => after('makeFolder', () => nodeFiles.makeFolder(folder)),
      list: (folder) => after('list', () => nodeFiles.list(folder)),
      remove: (target) => after('remove', () => nodeFiles.remove(target)),
      freeBytes: (folder) => after('freeBytes', () => nodeFiles.freeBytes(folder)),
    };
  }

  #before(operation: string): void {
    this.#count += 1;
    const code = this.#trouble(operation, this.#count);
    if (code !== undefined) throw Object.assign(new Error(`${code}: made up`), { code, syscall: operation });
  }
}
