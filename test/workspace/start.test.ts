import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, expect, it } from 'vitest'
import { root } from '../../scripts/step.js'

const data = mkdtempSync(join(tmpdir(), 'seamark-start-'))
afterAll(() => rmSync(data, { recursive: true }))

it.each(['SIGTERM', 'SIGINT'] as const)(
  'npm start serves, takes arguments, and stops well on %s',
  async (signal) => {
    const args = [
      'scripts/start.js',
      '--engine',
      `lmdb:${data}`,
      '--port',
      '0',
      '--dns-port',
      '0',
      '--log-level',
      'warn',
      '--json',
    ]
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      let facts: { url: string; pid: number } | undefined
      for await (const line of createInterface(child.stdout)) {
        if (!line.startsWith('{')) continue
        facts = JSON.parse(line)
        break
      }
      expect(facts?.pid).toBe(child.pid)
      const response = await fetch(`${facts?.url}/readyz`)
      expect(response.status).toBe(200)
      child.kill(signal)
      expect(await once(child, 'exit')).toEqual([0, null])
    } finally {
      child.kill('SIGKILL')
    }
  },
)
