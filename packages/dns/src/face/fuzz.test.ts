import { expect, it } from 'vitest'
import { strangers } from '../../../../benchmarks/dns-strangers.js'
import { question, said, served } from '../../test/face.ts'

// `node benchmarks/dns-fuzz.js` sends a million, and takes another seed each time.
it('answers on, whatever strangers send', async () => {
  await using face = await served({ bounds: { answerBytes: 100_000 } })
  for (let n = 1; n <= 40; n++)
    await face.put({ service: 'api', id: `api-${n}`, address: `10.0.0.${n}`, version: '2.1.0' })
  await face.put({ namespace: 'test.shop', service: 'app2', address: '10.1.0.1' })
  const { sent, answered, codes } = await strangers({ port: face.port, packets: 10_000, seed: 1 })
  expect(sent).toBe(10_000)
  expect(answered).toBeGreaterThan(5_000)
  // All that it says: NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED.
  expect(Object.keys(codes).sort()).toEqual(['0', '1', '3', '4', '5'])
  expect(face.notices).toEqual([])
  expect(said(await face.send(question('api.service.consul'))).answers).toHaveLength(40)
})
