import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../../scripts/step.js'

interface Case {
  /** The file that imports, where a number keeps the cases of a folder apart. */
  in: string
  code: string
}

const refused: Case[] = [
  { in: 'packages/core/src/1.ts', code: "import '@seamark/client'" },
  { in: 'packages/core/src/2.ts', code: "import '@seamark/lmdb'" },
  { in: 'packages/core/src/3.ts', code: "import 'node:fs/promises'" },
  { in: 'packages/core/src/4.ts', code: "import { connect } from 'node:net'\nconnect(1)" },
  { in: 'packages/client/src/5.ts', code: "import '@seamark/server'" },
  { in: 'packages/client/src/6.ts', code: "await import('@seamark/lmdb')" },
  { in: 'packages/server/src/checks/7.ts', code: "export * from '@seamark/client'" },
  { in: 'packages/server/src/8.ts', code: "import type { Discovery } from '@seamark/client'" },
  { in: 'packages/server/src/9.ts', code: "import '@seamark/core/testing'" },
  { in: 'packages/server/src/10.ts', code: "import '@seamark/conformance'" },
  { in: 'packages/server/src/11.ts', code: "import 'seamark'" },
  { in: 'packages/server/src/12.ts', code: "import '../../core/src/names.ts'" },
  { in: 'packages/server/src/checks/13.ts', code: "import '../../../core/dist/names.js'" },
  { in: 'packages/server/src/14.ts', code: "import '../../../engines/lmdb/src/index.ts'" },
  { in: 'packages/server/src/15.test.ts', code: "import '../../core/src/names.ts'" },
  { in: 'packages/dns/src/16.ts', code: "import '@seamark/server'" },
  { in: 'packages/gateway/src/17.ts', code: "import '@seamark/server'" },
  { in: 'packages/dashboard/src/18.ts', code: "import '@seamark/core'" },
  { in: 'packages/conformance/src/19.ts', code: "import '@seamark/lmdb'" },
  { in: 'packages/cli/src/20.ts', code: "import '@seamark/conformance'" },
  { in: 'engines/etcd/src/21.ts', code: "import '@seamark/client'" },
  { in: 'engines/etcd/src/22.ts', code: "import '@seamark/lmdb'" },
  { in: 'test/23.ts', code: "import '../packages/core/src/names.ts'" },
  { in: 'packages/grpc/src/36.ts', code: "import '@seamark/server'" },
  { in: 'packages/host/src/37.ts', code: "import '@seamark/fastify'" },
  { in: 'packages/fastify/src/38.ts', code: "import '@seamark/express'" },
  { in: 'benchmarks/24.ts', code: "import '../packages/core/dist/names.js'" },
]

const accepted: Case[] = [
  { in: 'packages/core/src/25.ts', code: "import { isIP } from 'node:net'\nisIP('')" },
  { in: 'packages/server/src/checks/26.ts', code: "import '../names.ts'" },
  { in: 'packages/server/src/27.ts', code: "import '@seamark/core'" },
  { in: 'packages/server/src/28.test.ts', code: "import '@seamark/conformance'" },
  { in: 'packages/server/src/29.test.ts', code: "import '@seamark/core/testing'" },
  { in: 'packages/gateway/src/30.ts', code: "import '@seamark/client'" },
  { in: 'packages/conformance/src/31.ts', code: "import '@seamark/core/testing'" },
  { in: 'packages/cli/src/32.ts', code: "import '@seamark/server'" },
  { in: 'packages/cli/src/33.ts', code: "import '@seamark/etcd'" },
  { in: 'engines/etcd/src/34.ts', code: "import '@seamark/core'" },
  { in: 'packages/grpc/src/39.ts', code: "import '@seamark/client'" },
  { in: 'packages/express/src/40.ts', code: "import '@seamark/host'" },
  { in: 'test/35.ts', code: "import '@seamark/client'" },
]

describe('lint', () => {
  const folder = mkdtempSync(join(tmpdir(), 'seamark-arrows-'))
  const flagged = new Set<string>()

  beforeAll(() => {
    for (const file of ['biome.json', '.gitignore']) cpSync(join(root, file), join(folder, file))
    for (const example of [...refused, ...accepted]) {
      const file = join(folder, example.in)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, `${example.code}\n`)
    }
    const biome = join(root, 'node_modules/@biomejs/biome/bin/biome')
    const options = ['--only=lint/style/noRestrictedImports', '--reporter=json', '--max-diagnostics=none']
    const { status, stdout } = spawnSync(process.execPath, [biome, 'lint', ...options], {
      cwd: folder,
      encoding: 'utf8',
    })
    expect(status).toBe(1)
    for (const { location } of JSON.parse(stdout).diagnostics) flagged.add(location.path)
  })

  afterAll(() => rmSync(folder, { recursive: true }))

  it.each(refused)('refuses $code in $in', (example) => {
    expect(flagged).toContain(example.in)
  })

  it.each(accepted)('accepts $code in $in', (example) => {
    expect(flagged).not.toContain(example.in)
  })
})
