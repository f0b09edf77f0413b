/**
 * The member that a key belongs to, by rendezvous hashing (Thaler and Ravishankar, 1998): everybody who knows the
 * same members answers the same, and when one leaves, only its own keys move. `undefined` when there are no members.
 */
export function rendezvous(members: Iterable<string>, key: string): string | undefined {
  let owner: string | undefined
  let most = -1
  for (const member of members) {
    const score = hash(`${member}\u0000${key}`)
    if (score > most || (score === most && member < owner!)) {
      most = score
      owner = member
    }
  }
  return owner
}

/** FNV-1a over UTF-16 code units, and MurmurHash3's finalizer, without which keys that end alike stay alike. */
function hash(text: string): number {
  return mixed(digest(text))
}

/** FNV-1a over UTF-16 code units, as 32 bits. */
export function digest(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash
}

/** What a member scores for a key, by their digests. */
export function score(member: number, key: number): number {
  return mixed(Math.imul(member, 31) ^ key)
}

/** MurmurHash3's finalizer: any bit of `hash` changes half of the result's, which is in [0, 2^32). */
export function mixed(hash: number): number {
  let mixing = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mixing = Math.imul(mixing ^ (mixing >>> 13), 0xc2b2ae35)
  return (mixing ^ (mixing >>> 16)) >>> 0
}
