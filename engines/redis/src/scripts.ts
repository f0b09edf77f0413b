import { createHash } from 'node:crypto'

/**
 * Everything that touches more than one key is a script: Redis runs it as a whole, and alone. All scripts are given all
 * of the registry's keys, in this order; they share a hash tag, so that a cluster keeps them in one place.
 *
 * A "name" is what `names.ts` makes of an instance's or a claim's key. Items have their own keys as they are.
 */
const keyNames = [
  /** A stream: which names changed. The id of an entry is its revision and a random number. */
  'feed',
  /** A sorted set of all names, in their own order. */
  'index',
  /** A hash: instances as JSON. */
  'instances',
  /** A hash: the revisions at which an instance was created and last modified. */
  'revisions',
  /** A hash: check results as JSON, of instances that have any. */
  'health',
  /** A hash: TTL in ms (0: it stays) and the digest of the token. */
  'leases',
  /** A hash: the instance's name by the digest of its token. */
  'tokens',
  /** A sorted set: the names of instances by the time at which they end. */
  'deadlines',
  /** A sorted set: those who get a new deadline, since the server lost track of theirs. */
  'regrants',
  /** A hash: the fence and the holder's id. */
  'claims',
  /** A hash: when the deadlines were last looked at, by whom, and how far their time is behind the server's clock. */
  'clock',
  /** A hash: the values of items. */
  'items',
  /** A hash: the revisions at which an item was created and last modified. */
  'itemRevisions',
  /** A sorted set of the keys of all items, in their own order. */
  'itemIndex',
  /** A stream as `feed`: which items changed. */
  'itemFeed',
] as const

/** The name that each has in Redis, in the order in which scripts are given them. */
export type Keys = Readonly<Record<(typeof keyNames)[number], string>>

export function registryKeys(prefix: string): Keys {
  return Object.fromEntries(keyNames.map((name) => [name, `{${prefix}}:${name}`])) as Keys
}

export interface Script {
  readonly lua: string
  /** What EVALSHA calls it. */
  readonly sha: string
}

/** Milliseconds between two sweeps. */
export const sweepInterval = 250
/** Milliseconds without a sweep beyond which nobody is taken to have been able to renew. */
const longestGap = 1_000
/** Bytes of JSON or of values after which a page ends: a few milliseconds of Redis' time. */
const pageBytes = 2 * 1024 * 1024
/** Changes that each feed keeps at least: who is further behind reads everything anew. */
const feedLength = 10_000
/** Leases that get a new deadline in one sweep. */
const regrantedAtOnce = 1_000

const common = `
local ${keyNames.join(', ')} = unpack(KEYS)

local function text(number) return string.format('%.0f', number) end

local function microseconds()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function serverTime() return math.floor(microseconds() / 1000) end

-- The time of the deadlines stands still while nobody sweeps, and knows no jumps of the server's clock.
-- Answers it, how far it is behind the server's clock, and how much of that is new.
local function leaseTime()
  local server = serverTime()
  local swept = redis.call('HGET', clock, 'swept')
  local behind = tonumber(redis.call('HGET', clock, 'behind') or 0)
  local stalled = 0
  if swept then
    local passed = server - swept
    if passed < 0 then stalled = passed
    elseif passed > ${longestGap} then stalled = passed - ${sweepInterval} end
  end
  return server - behind - stalled, behind + stalled, stalled
end

-- What no other process of a server has, nor the same one after a restart.
local function process() return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') end

local function lastEntry(feed)
  local last = redis.call('XREVRANGE', feed, '+', '-', 'COUNT', 1)[1]
  return last and last[1]
end

-- Revisions are the server's time in microseconds, which no writing overtakes: so they go on growing after everything
-- was lost. They are exact, as numbers are in JavaScript and here, until 2255. Both feeds share them.
local function tell(names, nonce, into)
  local revision = microseconds()
  for _, each in ipairs({ feed, itemFeed }) do
    local last = lastEntry(each)
    if last then revision = math.max(revision, tonumber(string.match(last, '^%d+')) + 1) end
  end
  revision = text(revision)
  redis.call('XADD', into or feed, 'MAXLEN', '~', ${feedLength}, revision .. '-' .. nonce, 'changed', table.concat(names, '\\n'))
  return revision
end

local function serviceOf(name) return string.match(name, '^[^/]*/[^/]*/') end

local function idOf(name) return string.match(name, '[^/]*$') end

local function holderOf(digest)
  local name = redis.call('HGET', tokens, digest)
  local lease = name and redis.call('HGET', leases, name)
  if not lease or redis.call('HEXISTS', instances, name) == 0 then return nil end
  local ttl, token = string.match(lease, '^(%d+) (.*)$')
  if token ~= digest then return nil end
  return name, ttl
end

-- Forgets the token of a lease, and its claims; adds to the names that changed.
local function endLease(name, changed)
  local lease = redis.call('HGET', leases, name)
  if not lease then return end
  redis.call('HDEL', tokens, string.match(lease, '[^ ]*$'))
  local service = serviceOf(name)
  for _, claim in ipairs(redis.call('ZRANGEBYLEX', index, '[' .. service .. 'c/', '(' .. service .. 'c0')) do
    if string.match(redis.call('HGET', claims, claim) or '', '^%d+ (.*)$') == idOf(name) then
      redis.call('HDEL', claims, claim)
      redis.call('ZREM', index, claim)
      changed[#changed + 1] = claim
    end
  end
end

local function remove(name, changed)
  endLease(name, changed)
  for _, key in ipairs({ instances, revisions, health, leases }) do redis.call('HDEL', key, name) end
  for _, key in ipairs({ index, deadlines, regrants }) do redis.call('ZREM', key, name) end
  changed[#changed + 1] = name
end

-- While memory is full, Redis refuses the first write of a script if it could need more of it, and none after that.
local function insist() redis.call('ZREM', regrants, '') end

-- What there is under a name: a claim's fence and holder, or an instance's revisions, JSON and health.
local function state(name, form)
  if string.match(name, '^[^/]*/[^/]*/c/') then return { name, redis.call('HGET', claims, name) } end
  local instance = redis.call('HGET', instances, name)
  if not instance then return { name, false } end
  local known = redis.call('HGET', revisions, name)
  if form == 'brief' then return { name, known } end
  return { name, known, instance, redis.call('HGET', health, name) or '' }
end

-- What there is under an item's key: its revisions and its value.
local function itemState(key, form)
  if redis.call('HEXISTS', items, key) == 0 then return { key, false } end
  local known = redis.call('HGET', itemRevisions, key)
  if form == 'brief' then return { key, known } end
  return { key, known, redis.call('HGET', items, key) }
end
`

function script(lua: string): Script {
  const whole = common + lua
  return { lua: whole, sha: createHash('sha1').update(whole).digest('hex') }
}

/** `name, instance, the health it was made with, its own, ttl, digest, nonce` → `[1, revision]`, or `[0, other health]` */
export const register = script(`
local name, instance, expected, observed, ttl, digest, nonce = unpack(ARGV)
local known = redis.call('HEXISTS', instances, name) == 1
local current = known and redis.call('HGET', health, name) or ''
if current ~= expected then return { 0, current } end

local changed = { name }
endLease(name, changed)
local revision = tell(changed, nonce)
local created = known and string.match(redis.call('HGET', revisions, name) or '', '^%d+') or revision
redis.call('HSET', instances, name, instance)
redis.call('HSET', revisions, name, created .. ' ' .. revision)
if observed == '' then redis.call('HDEL', health, name) else redis.call('HSET', health, name, observed) end
redis.call('HSET', leases, name, ttl .. ' ' .. digest)
redis.call('HSET', tokens, digest, name)
redis.call('ZADD', index, 0, name)
redis.call('ZREM', regrants, name)
if ttl == '0' then
  redis.call('ZREM', deadlines, name)
else
  if redis.call('EXISTS', deadlines, regrants) == 0 then
    redis.call('HSET', clock, 'swept', text(serverTime()), 'server', process())
  end
  redis.call('ZADD', deadlines, text(leaseTime() + ttl), name)
end
return { 1, revision }
`)

/** `digest…` → `0` or `1` for each */
export const renew = script(`
insist()
local time = leaseTime()
local held = {}
for index, digest in ipairs(ARGV) do
  local name, ttl = holderOf(digest)
  if name and ttl ~= '0' then
    redis.call('ZADD', deadlines, text(time + ttl), name)
    redis.call('ZREM', regrants, name)
  end
  held[index] = name and 1 or 0
end
return held
`)

/** `digest` → `[name, ttl, 'created modified']`, or nil */
export const resume = script(`
local name, ttl = holderOf(ARGV[1])
if not name then return false end
return { name, ttl, redis.call('HGET', revisions, name) }
`)

/** `digest, nonce` → the revision, or nil */
export const release = script(`
local name = holderOf(ARGV[1])
if not name then return false end
local changed = {}
remove(name, changed)
return tell(changed, ARGV[2])
`)

/** `name, nonce` → the revision, or nil */
export const deregister = script(`
local name, nonce = unpack(ARGV)
if redis.call('HEXISTS', instances, name) == 0 then return false end
local changed = {}
remove(name, changed)
return tell(changed, nonce)
`)

/** `name, the health it was made from, the new one, nonce` → `[1, revision]`, `[0, other health, 'created modified']`, or nil */
export const report = script(`
local name, expected, observed, nonce = unpack(ARGV)
if redis.call('HEXISTS', instances, name) == 0 then return false end
local current = redis.call('HGET', health, name) or ''
local known = redis.call('HGET', revisions, name)
if current ~= expected then return { 0, current, known } end
local revision = tell({ name }, nonce)
if observed == '' then redis.call('HDEL', health, name) else redis.call('HSET', health, name, observed) end
redis.call('HSET', revisions, name, string.match(known or revision, '^%d+') .. ' ' .. revision)
return { 1, revision }
`)

/** `digest, claim, nonce` → `[1, fence]`, `[0]` if another one holds it, or nil if the lease is lost */
export const claim = script(`
local digest, claim, nonce = unpack(ARGV)
local name = holderOf(digest)
if not name then return false end
claim = serviceOf(name) .. 'c/' .. claim
local held = redis.call('HGET', claims, claim)
if held then
  local fence, id = string.match(held, '^(%d+) (.*)$')
  if id ~= idOf(name) then return { 0 } end
  return { 1, fence }
end
local fence = tell({ claim }, nonce)
redis.call('HSET', claims, claim, fence .. ' ' .. idOf(name))
redis.call('ZADD', index, 0, claim)
return { 1, fence }
`)

/** `claim's name, fence, nonce` */
export const unclaim = script(`
local claim, fence, nonce = unpack(ARGV)
if string.match(redis.call('HGET', claims, claim) or '', '^%d+') ~= fence then return end
redis.call('HDEL', claims, claim)
redis.call('ZREM', index, claim)
tell({ claim }, nonce)
`)

/**
 * `nonce, operation…`, each of which is `type, key, the revision it must have or '', value` → the revision, 0 if there was
 * nothing to change, or nil if a comparison did not hold
 */
export const writeItems = script(`
local nonce = ARGV[1]
local created = {}
local changed = {}
local puts = false
for at = 2, #ARGV, 4 do
  local kind, key, expected = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local there = redis.call('HEXISTS', items, key) == 1
  local modified
  if there then
    created[key], modified = string.match(redis.call('HGET', itemRevisions, key) or '', '^(%d+) (%d+)$')
  end
  if expected ~= '' and expected ~= (modified or '0') then return false end
  if kind == 'put' then puts = true end
  if kind == 'put' or (kind == 'delete' and there) then changed[#changed + 1] = key end
end
if #changed == 0 then return '0' end

if not puts then insist() end
local revision = tell(changed, nonce, itemFeed)
for at = 2, #ARGV, 4 do
  local kind, key, value = ARGV[at], ARGV[at + 1], ARGV[at + 3]
  if kind == 'put' then
    redis.call('HSET', items, key, value)
    redis.call('HSET', itemRevisions, key, (created[key] or revision) .. ' ' .. revision)
    redis.call('ZADD', itemIndex, 0, key)
  elseif kind == 'delete' then
    redis.call('HDEL', items, key)
    redis.call('HDEL', itemRevisions, key)
    redis.call('ZREM', itemIndex, key)
  end
end
return revision
`)

const listing = (feed: string, index: string, state: string) =>
  script(`
local nonce, most, form = ARGV[1], tonumber(ARGV[2]), ARGV[3]
if not lastEntry(${feed}) then tell({}, nonce, ${feed}) end
local page = { lastEntry(${feed}), 0 }
local bytes = 0
for at = 4, #ARGV, 2 do
  for _, name in ipairs(redis.call('ZRANGEBYLEX', ${index}, ARGV[at], ARGV[at + 1], 'LIMIT', 0, most)) do
    local known = ${state}(name, form)
    page[#page + 1] = known
    most = most - 1
    bytes = bytes + #(known[3] or '')
    if most == 0 or bytes > ${pageBytes} then
      page[2] = (at - 2) / 2
      return page
    end
  end
end
return page
`)

/**
 * `nonce, most, 'brief' or 'whole', (from, to)…` → `[position, range it stopped at or 0, state…]`: the names in the given
 * ranges of the index, `most` of them.
 */
export const list = listing('feed', 'index', 'state')
export const listItems = listing('itemFeed', 'itemIndex', 'itemState')

/** `prepare` is given what the script is given from `ARGV[3]` on, and defines `wanted(name)`. */
const changing = (feed: string, state: string, prepare: string) =>
  script(`
local position, most = ARGV[1], tonumber(ARGV[2])
local entries = redis.call('XRANGE', ${feed}, position, '+', 'COUNT', most + 1)
if #entries == 0 or entries[1][1] ~= position then return false end
${prepare}
local seen = {}
local page = { position, #entries > most and 1 or 0 }
local bytes = 0
for at = 2, #entries do
  if bytes > ${pageBytes} then
    page[2] = 1
    return page
  end
  for name in string.gmatch(entries[at][2][2], '[^\\n]+') do
    if not seen[name] and wanted(name) then
      seen[name] = true
      local known = ${state}(name)
      page[#page + 1] = known
      bytes = bytes + #(known[3] or '')
    end
  end
  page[1] = entries[at][1]
end
return page
`)

/**
 * `position, most, 'all' or 'some', service…` → `[position, 1 if there is more, state…]`: what changed after a position, as
 * it is now. Nil when the feed does not have that position: it was trimmed, or is another one.
 */
export const changes = changing(
  'feed',
  'state',
  `
local services = {}
for at = 4, #ARGV do services[ARGV[at]] = true end
local function wanted(name) return ARGV[3] == 'all' or services[serviceOf(name)] end
`,
)

/** `position, most, prefix` → the same of items */
export const changedItems = changing(
  'itemFeed',
  'itemState',
  `
local function wanted(key) return string.sub(key, 1, #ARGV[3]) == ARGV[3] end
`,
)

/**
 * `nonce` → `[expired, overdue, leases, most, stalled ms, 1 if the server is another one]`, or nil when somebody else just
 * swept.
 */
export const sweep = script(`
local nonce = ARGV[1]
local server = serverTime()
local since = server - (redis.call('HGET', clock, 'swept') or 0)
local count = redis.call('ZCARD', deadlines) + redis.call('ZCARD', regrants)
if since >= 0 and since < ${sweepInterval * 0.8} then return false end
if count == 0 then return { 0, 0, 0, 0, 0, 0 } end

insist()
local time, behind, stalled = leaseTime()

-- A server that was started anew, or took over, may have lost renewals.
local present = process()
local another = redis.call('HGET', clock, 'server') ~= present and 1 or 0
if another == 1 then
  redis.call('ZUNIONSTORE', regrants, 2, regrants, deadlines)
  redis.call('DEL', deadlines)
end
redis.call('HSET', clock, 'swept', text(server), 'behind', text(behind), 'server', present)

for _, name in ipairs(redis.call('ZRANGE', regrants, 0, ${regrantedAtOnce - 1})) do
  local ttl = string.match(redis.call('HGET', leases, name) or '0', '^%d+')
  redis.call('ZREM', regrants, name)
  if ttl ~= '0' then redis.call('ZADD', deadlines, text(time + ttl), name) end
end

local overdue = redis.call('ZCOUNT', deadlines, '-inf', text(time))
local most = math.min(1000, math.max(250, math.ceil(count / 40)))
local changed = {}
local names = redis.call('ZRANGEBYSCORE', deadlines, '-inf', text(time), 'LIMIT', 0, most)
for _, name in ipairs(names) do remove(name, changed) end
if #changed > 0 then tell(changed, nonce) end
return { #names, overdue, count, most, stalled, another }
`)
