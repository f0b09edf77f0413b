import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memory } from '@seamark/core'
import { server } from '@seamark/server'
import { describe, expect, test } from 'vitest'
import { openEngine } from './open-engine.ts'

describe('opening the engine of a URL', () => {
  test('gives one in this process for memory:', async () => {
    await using engine = await openEngine('memory:')
    expect(engine.terms).toEqual(memory().terms)
  })

  test('gives a server that answers, with its own terms', async () => {
    await using engine = memory()
    await using running = await server({ engine, engineName: 'memory', port: 0 })
    await using opened = await openEngine(running.url)
    expect(opened.terms.minimumTtl).toBe(engine.terms.minimumTtl)
  })

  test('gives a server that is away, too', async () => {
    await using opened = await openEngine('http://127.0.0.1:1')
    expect(opened.terms.minimumTtl).toBe(1_000)
  })

  test('takes any other scheme from its package', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'seamark-open-'))
    const engine = await openEngine(`lmdb:${directory}`)
    expect(engine.freshness).toBe('push')
    await engine[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  test('says which package to install', async () => {
    await expect(openEngine('nonesuch://host')).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('npm install @seamark/nonesuch'),
    })
  })

  test.each(['', 'lmdb', './data', '../core:x', 'HTTP://host', 'a b:c'])('refuses "%s"', async (url) => {
    await expect(openEngine(url)).rejects.toMatchObject({ code: 'configuration' })
  })
})
