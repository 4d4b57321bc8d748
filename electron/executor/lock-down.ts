import { registerHooks } from 'node:module';

/** Modules that no shard needs. `worker_threads` is not among them: the runtime's binding asks it which thread it is on. */
const DENIED_MODULES = new Set([
  'child_process',
  'cluster',
  'dgram',
  'diagnostics_channel',
  'dns',
  'dns/promises',
  'http',
  'http2',
  'https',
  'inspector',
  'inspector/promises',
  'net',
  'repl',
  'sqlite',
  'test',
  'tls',
  'trace_events',
  'vm',
  'wasi',
]);

/** Ways out of JavaScript's own globals. */
const DENIED_GLOBALS = ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest', 'Worker', 'BroadcastChannel'];

/** Members of `process` that load native code, reach other processes, or hand out modules past the loader's hooks. */
const DENIED_PROCESS_MEMBERS = [
  'binding',
  '_linkedBinding',
  'dlopen',
  'getBuiltinModule',
  'kill',
  '_kill',
  '_debugProcess',
  'chdir',
];

/**
 * Second line of defence, before anything of a stranger's is read: should JavaScript in this process ever be turned
 * against us, the modules and globals that reach out of it are gone. The first lines are the operating system's and
 * Node's permission model; this one costs half a millisecond.
 *
 * `keepNativeLoader` leaves process.dlopen until the runtime is loaded; call the returned function then.
 */
export function lockDown(): { readonly denyNativeCode: () => void } {
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const name = specifier.startsWith('node:') ? specifier.slice('node:'.length) : specifier;
      if (DENIED_MODULES.has(name)) throw new Error(`${name} is denied to executors`);
      return nextResolve(specifier, context);
    },
  });
  for (const name of DENIED_GLOBALS) deny(globalThis, name);
  for (const name of DENIED_PROCESS_MEMBERS) if (name !== 'dlopen') deny(process, name);
  return { denyNativeCode: () => deny(process, 'dlopen') };
}

function deny(owner: object, name: string): void {
  Reflect.deleteProperty(owner, name);
  Object.defineProperty(owner, name, { value: undefined, writable: false, configurable: false });
}
