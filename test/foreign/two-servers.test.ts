import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Engine, memory } from '@seamark/core'
import { type Server, server } from '@seamark/server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { command } from './command.ts'

const folder = mkdtempSync(join(tmpdir(), 'seamark-foreign-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

engineTests('consul', () => {
  let engine: Engine
  let north: Server
  let south: Server
  beforeAll(async () => {
    engine = memory()
    const start = (name: string) =>
      server({ engine, engineName: 'memory', port: 0, shared: true, name, consul: { nodeName: name } })
    north = await start('north')
    south = await start('south')
  })
  afterAll(async () => {
    for (const each of [north, south]) await each?.close()
    await engine?.[Symbol.asyncDispose]()
  })

  const open = ({ url }: Server, ...words: string[]) =>
    command('consul', words, { folder, environment: { CONSUL_HTTP_ADDR: url } })
  async function consul(at: Server, ...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await open(at, ...words).ended
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return stdout.trimEnd()
  }

  describe('the command consul, at two servers of one registry,', () => {
    it('holds a lock that there is once', async () => {
      writeFileSync(join(folder, 'held'), '')
      await using first = open(north, 'lock', 'helm', 'echo first; while [ -e held ]; do sleep 0.02; done')
      await first.prints('first')
      await using second = open(south, 'lock', 'helm', 'echo second')
      const { code } = await open(south, 'lock', '-try=200ms', 'helm', 'echo never').ended
      expect(code).toBe(1)
      rmSync(join(folder, 'held'))
      expect(await first.ended).toMatchObject({ code: 0, stdout: 'first\n' })
      expect(await second.ended).toMatchObject({ code: 0, stdout: 'second\n' })
    })

    it('watches at one what is written at the other', async () => {
      await using key = open(south, 'watch', '-type=key', '-key=course', 'cat')
      await using service = open(south, 'watch', '-type=service', '-service=web', 'cat')
      await Promise.all([key.prints('null'), service.prints('[]')])
      await consul(north, 'kv', 'put', 'course', 'west')
      await key.prints(Buffer.from('west').toString('base64'))
      await consul(north, 'services', 'register', '-name=web', '-port=80')
      await service.prints('"Port":80')
    })

    it('takes at one what was registered at the other for its own', async () => {
      await consul(north, 'services', 'register', '-name=shop', '-port=81')
      expect(await consul(south, 'maint', '-enable', '-service=shop')).toContain('now enabled')
      expect(await consul(north, 'maint')).toContain('shop')
      await consul(south, 'services', 'deregister', '-id=shop')
      expect(await consul(south, 'catalog', 'services')).not.toContain('shop')
      await expect.poll(() => consul(north, 'catalog', 'services')).not.toContain('shop')
    })

    it('sees both as members', async () => {
      for (const at of [north, south])
        await expect.poll(() => consul(at, 'members')).toMatch(/^north .*\n(.*\n)*south /m)
    })
  })
})
