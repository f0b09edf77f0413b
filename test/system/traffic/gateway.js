// @ts-check
// A gateway as a process of its own, for what `seamark gateway` has no option for: node gateway.js URL OPTIONS.
import { http } from '@seamark/client'
import { catalog } from '@seamark/core'
import { gateway } from '@seamark/gateway'
import { pino } from 'pino'

const [registry = '', options = ''] = process.argv.slice(2)
const { url } = await gateway({
  catalog: catalog(http(registry)),
  port: 0,
  status: false,
  logger: pino({ level: 'warn' }, pino.destination(2)),
  ...JSON.parse(options),
})
console.log(JSON.stringify({ url }))
