import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { janitor } from './janitor.ts'

it('kills the processes and removes the folders that it still minds when its pipe closes', async () => {
  const start = () => spawn('sleep', ['1000'])
  const folder = () => mkdtempSync(join(tmpdir(), 'seamark-janitor-'))
  const [left, ended] = [start(), start()]
  const [leftFolder, keptFolder] = [folder(), folder()]
  const gone = once(left, 'exit')
  const cleaner = janitor()
  for (const { pid } of [left, ended]) cleaner.minds('process', pid ?? 0)
  for (const path of [leftFolder, keptFolder]) cleaner.minds('folder', path)
  cleaner.forgets('process', ended.pid ?? 0)
  cleaner.forgets('folder', keptFolder)

  cleaner.dismiss()

  expect(await gone).toEqual([null, 'SIGKILL'])
  await vi.waitUntil(() => !existsSync(leftFolder), { timeout: 10_000 })
  expect(existsSync(keptFolder)).toBe(true)
  expect(ended.exitCode ?? ended.signalCode).toBeNull()
  ended.kill()
  rmSync(keptFolder, { recursive: true })
})
