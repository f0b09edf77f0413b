import { defineConfig } from 'vitest/config'

// Not `import`: test processes get these for `require` as well, which would find modules where it needs CommonJS.
const conditions = ['seamark:source', 'node']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'engines/*/src/**/*.test.ts', 'test/**/*.test.ts'],
    pool: 'forks',
    // More than there are cores: the tests of engines mostly wait, for leases of real servers to end.
    maxWorkers: 6,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
