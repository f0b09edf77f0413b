const [colon, dot, percent] = [58, 46, 37]

/**
 * Whom a limit for each client counts: an IPv4 address, or the /64 network of an IPv6 address, within which one client has as
 * many addresses as it likes (RFC 6177, 2; RFC 8981). IPv4 in IPv6 is IPv4. What is no address is returned as it is.
 */
export function clientNetwork(address: string): string {
  // By hand, as this is asked with every request.
  if (!address.includes(':')) return address
  const groups = [0, 0, 0, 0, 0, 0, 0, 0]
  let count = 0
  /** How many groups stand before the "::". */
  let gap = -1
  let begin = 0
  let value = 0
  for (let at = 0; at <= address.length && count < 8; at++) {
    const code = at === address.length ? percent : address.charCodeAt(at)
    if (code === dot) {
      // The last two groups are an IPv4 address.
      if (isMapped(groups, count, gap)) return address.slice(begin)
      count += 2
      break
    }
    if (code !== colon && code !== percent) {
      const digit = hexDigit(code)
      if (digit === -1) return address
      value = value * 16 + digit
      continue
    }
    if (at > begin) groups[count++] = value
    else if (code === colon && at > 0) gap = count
    if (code === percent) break
    begin = at + 1
    value = 0
  }
  let network = ''
  for (let place = 0; place < 4; place++)
    network += `${(groups[source(place, count, gap)] ?? 0).toString(16)}:`
  return `${network}:/64`
}

/** Which of the groups that are written stands at a place of the address. */
function source(place: number, count: number, gap: number): number {
  if (gap === -1 || place < gap) return place
  const behind = place - (8 - count)
  return behind < gap ? 8 : behind
}

function isMapped(groups: readonly number[], count: number, gap: number): boolean {
  if (count === 0 || groups[count - 1] !== 0xffff || (gap === -1 && count !== 6)) return false
  for (let place = 0; place < count - 1; place++) if (groups[place] !== 0) return false
  return gap < count
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const letter = code | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}
