import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type Agent, agentTests, node } from './agent.ts'
import { command } from './command.ts'

const folder = mkdtempSync(join(tmpdir(), 'seamark-foreign-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

/** Consul's agent tells its catalog a moment later. */
const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 10_000, interval: 50 })

engineTests('consul', () =>
  agentTests((start) => {
    let agent: Agent
    beforeAll(async () => {
      agent = await start()
    })
    afterAll(() => agent?.[Symbol.asyncDispose]())

    const open = (...words: string[]) =>
      command('consul', words, { folder, environment: { CONSUL_HTTP_ADDR: `127.0.0.1:${agent.port}` } })
    /** What it prints, in columns, without trailing blanks. */
    async function consul(...words: string[]): Promise<string> {
      const { code, stdout, stderr } = await open(...words).ended
      expect(stderr).toBe('')
      expect(code).toBe(0)
      return stdout.replace(/ +$/gm, '').trimEnd()
    }
    async function fails(...words: string[]): Promise<string> {
      const { code, stderr } = await open(...words).ended
      expect(code).not.toBe(0)
      return stderr
    }
    const rows = (table: string) => table.split('\n').map((line) => line.split(/\s{2,}/))
    /** What it has seen of a watch, one JSON document for each. */
    const watched = (text: string) => text.split('\n').flatMap((line) => (line ? [JSON.parse(line)] : []))

    describe('the command consul', () => {
      it('lists members, nodes, datacenters and services', async () => {
        expect(rows(await consul('members'))).toEqual([
          ['Node', 'Address', 'Status', 'Type', 'Build', 'Protocol', 'DC', 'Segment'],
          [
            node,
            expect.stringMatching(/^127\.0\.0\.1:\d+$/),
            'alive',
            'server',
            '1.8.7',
            '2',
            'dc1',
            '<all>',
          ],
        ])
        expect(rows(await consul('catalog', 'nodes'))).toEqual([
          ['Node', 'ID', 'Address', 'DC'],
          [node, expect.stringMatching(/^[0-9a-f]{8}$/), '127.0.0.1', 'dc1'],
        ])
        expect(await consul('catalog', 'datacenters')).toBe('dc1')
        expect(await consul('catalog', 'services')).toBe('consul')
        expect(rows(await consul('operator', 'raft', 'list-peers'))).toMatchObject([
          ['Node', 'ID', 'Address', 'State', 'Voter', 'RaftProtocol'],
          [node, {}, {}, 'leader', 'true', '3'],
        ])
        // Not only where the environment says.
        expect(await consul('catalog', 'nodes', `-http-addr=127.0.0.1:${agent.port}`)).toContain(node)
        expect(await consul('info')).toContain('version = 1.8.7')
      })

      it('registers and deregisters services, from words and from files', async () => {
        const words = ['-name=web', '-id=web-1', '-port=8080', '-tag=v1', '-tag=blue', '-meta=team=shop']
        expect(await consul('services', 'register', ...words)).toBe('Registered service: web')
        writeFileSync(
          join(folder, 'api.json'),
          JSON.stringify({
            service: {
              id: 'api-1',
              name: 'api',
              port: 9090,
              tags: ['v2'],
              check: { ttl: '60s', status: 'passing' },
            },
          }),
        )
        writeFileSync(
          join(folder, 'two.hcl'),
          `services { name = "one" port = 1 }
           services { name = "two" port = 2 check { tcp = "127.0.0.1:2" interval = "60s" } }`,
        )
        expect(await consul('services', 'register', 'api.json')).toBe('Registered service: api')
        expect(await consul('services', 'register', 'two.hcl')).toBe(
          'Registered service: one\nRegistered service: two',
        )
        await eventually(async () =>
          expect(rows(await consul('catalog', 'services', '-tags'))).toEqual([
            ['api', 'v2'],
            ['consul'],
            ['one'],
            ['two'],
            ['web', 'blue,v1'],
          ]),
        )
        expect(await consul('catalog', 'nodes', '-service=web')).toContain(node)
        expect(await consul('catalog', 'services', `-node=${node}`)).toContain('api')
        expect(await consul('services', 'deregister', 'api.json')).toBe('Deregistered service: api-1')
        expect(await consul('services', 'deregister', '-id=web-1')).toBe('Deregistered service: web-1')
        await consul('services', 'deregister', 'two.hcl')
        await eventually(async () => expect(await consul('catalog', 'services')).toBe('consul'))
      })

      it('puts a service and the node into maintenance, and takes them out', async () => {
        await consul('services', 'register', '-name=shop', '-port=80')
        expect(await consul('maint')).toBe('')
        expect(await consul('maint', '-enable', '-service=shop', '-reason=stocktaking')).toBe(
          'Service maintenance is now enabled for "shop"',
        )
        expect(await consul('maint', '-enable', '-reason=new disk')).toBe('Node maintenance is now enabled')
        // In no certain order.
        expect((await consul('maint')).split('\n\n').toSorted()).toEqual([
          `Node:\n  Name:   ${node}\n  Reason: new disk`,
          'Service:\n  ID:     shop\n  Reason: stocktaking',
        ])
        expect(await consul('maint', '-disable', '-service=shop')).toBe(
          'Service maintenance is now disabled for "shop"',
        )
        expect(await consul('maint', '-disable')).toBe('Node maintenance is now disabled')
        expect(await consul('maint')).toBe('')
        await consul('services', 'deregister', '-id=shop')
      })

      it('keeps keys: puts, gets, lists, compares, exports, imports and deletes them', async () => {
        expect(await consul('kv', 'put', '-flags=42', 'box/a', 'hello')).toBe(
          'Success! Data written to: box/a',
        )
        await consul('kv', 'put', 'box/deep/b', '{"json": true}')
        expect(await consul('kv', 'get', 'box/a')).toBe('hello')
        const details = new Map(rows(await consul('kv', 'get', '-detailed', 'box/a')) as [string, string][])
        expect(details.get('Flags')).toBe('42')
        expect(details.get('Session')).toBe('-')
        expect(await consul('kv', 'get', '-recurse', 'box')).toBe('box/a:hello\nbox/deep/b:{"json": true}')
        expect(await consul('kv', 'get', '-keys', 'box/')).toBe('box/a\nbox/deep/')
        expect(await fails('kv', 'get', 'nothing')).toBe('Error! No key exists at: nothing\n')
        const index = details.get('ModifyIndex')!
        expect(await fails('kv', 'put', '-cas', '-modify-index=1', 'box/a', 'no')).toContain('CAS failed')
        await consul('kv', 'put', '-cas', `-modify-index=${index}`, 'box/a', 'bye')
        const exported = await consul('kv', 'export', 'box')
        expect(JSON.parse(exported)).toEqual([
          { key: 'box/a', flags: 0, value: 'Ynll' },
          { key: 'box/deep/b', flags: 0, value: 'eyJqc29uIjogdHJ1ZX0=' },
        ])
        expect(await consul('kv', 'delete', '-recurse', 'box')).toBe('Success! Deleted keys with prefix: box')
        expect(await consul('kv', 'get', '-recurse', 'box')).toBe('')
        writeFileSync(join(folder, 'box.json'), exported)
        expect(await consul('kv', 'import', '@box.json')).toBe('Imported: box/a\nImported: box/deep/b')
        expect(await consul('kv', 'get', 'box/a')).toBe('bye')
        await consul('kv', 'delete', 'box/a')
        expect(await consul('kv', 'get', '-keys', 'box/')).toBe('box/deep/')
      })

      it('watches a key, a service and checks', async () => {
        await using key = open('watch', '-type=key', '-key=watched', 'cat')
        await using service = open('watch', '-type=service', '-service=seen', 'cat')
        await using checks = open('watch', '-type=checks', '-service=seen', 'cat')
        await Promise.all([key.prints('null\n'), service.prints('[]\n'), checks.prints('[]\n')])
        await consul('kv', 'put', 'watched', 'one')
        await key.prints('"Value":"b25l"')
        await consul('kv', 'put', 'watched', 'two')
        await key.prints('"Value":"dHdv"')
        writeFileSync(
          join(folder, 'seen.json'),
          JSON.stringify({ service: { name: 'seen', port: 7, check: { ttl: '60s', status: 'passing' } } }),
        )
        await consul('services', 'register', 'seen.json')
        await service.prints('"Status":"passing"')
        await checks.prints('"Status":"passing"')
        await consul('maint', '-enable', '-service=seen')
        await service.prints('_service_maintenance:seen')
        await consul('services', 'deregister', '-id=seen')
        for (const watch of [key, service, checks]) watch.interrupt()
        const [keys, services] = await Promise.all([key.ended, service.ended])
        expect(watched(keys.stdout).map((each) => each?.Value)).toEqual([undefined, 'b25l', 'dHdv'])
        expect(watched(services.stdout).some((each) => each[0]?.Service.Port === 7)).toBe(true)
        expect((await checks.ended).stderr).toBe('')
      })

      it('runs a command once it holds a lock, of which there is one', async () => {
        writeFileSync(join(folder, 'held'), '')
        await using first = open('lock', 'helm', 'echo first; while [ -e held ]; do sleep 0.02; done')
        await first.prints('first')
        await using second = open('lock', 'helm', 'echo second')
        expect(await fails('lock', '-try=200ms', 'helm', 'echo never')).toContain('lock acquisition')
        expect(await consul('kv', 'get', '-keys', 'helm/')).toBe('helm/.lock')
        rmSync(join(folder, 'held'))
        expect(await first.ended).toEqual({ code: 0, stdout: 'first\n', stderr: '' })
        expect(await second.ended).toEqual({ code: 0, stdout: 'second\n', stderr: '' })
        expect(await consul('kv', 'get', '-keys', 'helm/')).toBe('')
        expect(await consul('lock', '-n=2', 'oars', 'echo $CONSUL_LOCK_HELD')).toBe('true')
      })

      it('fires an event that a watch sees', async () => {
        expect(await consul('event', '-name=deploy', 'v2')).toMatch(/^Event ID: [0-9a-f-]{36}$/)
        await eventually(async () =>
          expect(JSON.parse(await consul('watch', '-type=event', '-name=deploy'))).toMatchObject([
            { Name: 'deploy', Payload: Buffer.from('v2').toString('base64') },
          ]),
        )
      })
    })
  }),
)
