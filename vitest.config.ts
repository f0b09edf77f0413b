import { defineConfig } from 'vitest/config'

// Not `import`: test processes get these for `require` as well, which would find modules where it needs CommonJS.
const conditions = ['seamark:source', 'node']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'engines/*/src/**/*.test.ts', 'test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 20_000,
    hookTimeout: 20_000,
  },
})
