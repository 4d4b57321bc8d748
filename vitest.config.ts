import { defineConfig } from 'vitest/config';

const project = (name: string, extra: { readonly testTimeout: number; readonly fileParallelism?: boolean }) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], pool: 'forks' as const, ...extra },
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    reporters: ['default'],
    projects: [
      project('unit', { testTimeout: 10_000 }),
      project('contract', { testTimeout: 30_000 }),
      // Real processes, sockets and chains share two cores: one file at a time keeps their deadlines honest.
      project('integration', { testTimeout: 120_000, fileParallelism: false }),
    ],
  },
});
