import { type Fields, items } from './fields.ts'

/** They concern the connection between an instance and us: RFC 9110, 7.6.1. */
const hopByHop = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
])
/** Bytes of those names: the names of nearly all other fields have other lengths. */
const lengths = new Set([...hopByHop].map((name) => name.length))

/** An answer's own fields. The same list when all of them are. */
export function answerFields(fields: Fields): Fields {
  let kept: Fields | undefined
  let named: string[] | undefined
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!
    if (lengths.has(name.length)) {
      const lower = name.toLowerCase()
      if (hopByHop.has(lower)) {
        kept ??= fields.slice(0, at)
        const value = fields[at + 1]!
        if (lower === 'connection' && value !== 'keep-alive') named = [...(named ?? []), ...items(value)]
        continue
      }
    }
    kept?.push(name, fields[at + 1]!)
  }
  const others = named?.filter((name) => name !== 'keep-alive' && name !== 'close')
  if (kept === undefined || others === undefined || others.length === 0) return kept ?? fields
  return kept.filter((_, index, all) => !others.includes(all[index - (index % 2)]!.toLowerCase()))
}
