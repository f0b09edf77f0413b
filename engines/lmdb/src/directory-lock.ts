import { randomBytes } from 'node:crypto'
import { closeSync, linkSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join, relative } from 'node:path'
import { SeamarkError } from '@seamark/core'

/** A directory that is this process's alone. Disposing of it gives it free; so does the end of the process, however it ends. */
export interface DirectoryLock extends AsyncDisposable {
  readonly directory: string
}

/** `owner-7` is the socket of the seventh owner; `owner-8.…` one that is about to become the eighth. */
const socketName = /^owner-(\d+)(\..+)?$/
const pidFile = 'owner.pid'

/** A socket's path, with its NUL: 104 bytes on macOS and the BSDs (sys/un.h), 108 on Linux (unix(7)). */
const pathBytes = process.platform === 'linux' ? 107 : 103
/** `/owner-`, a number that no directory outlives, `.`, and 8 random bytes in hex. */
const nameBytes = 7 + 10 + 1 + 16

/**
 * Takes a directory for this process, or throws `store_in_use` at once, naming the process that has it, if known.
 *
 * Each owner listens on a socket in the directory, `owner-N`. Whoever wants to own it finds the highest N, and tries
 * to connect: the kernel answers for a process that lives, even for one that is stopped, and refuses for one that is
 * gone, even killed. The next owner is the one that links its own socket, which listens already, as N + 1: a link is
 * made once. N never goes back, as the highest socket is left behind when its owner goes; see
 * `docs/decisions/0010-lmdb-one-owner-and-a-checked-file.md`.
 */
export async function directoryLock(directory: string): Promise<DirectoryLock> {
  for (;;) {
    const last = highest(directory)
    if (last > 0 && (await withShortPath(directory, `owner-${last}`, answers))) throw inUse(directory)
    const mine = `owner-${last + 1}`
    const candidate = `${mine}.${randomBytes(8).toString('hex')}`
    const server = await withShortPath(directory, candidate, listen)
    if (owns(directory, candidate, last + 1)) {
      for (const name of readdirSync(directory))
        if (socketName.test(name) && name !== mine) rmSync(join(directory, name), { force: true })
      writeFileSync(join(directory, pidFile), `${process.pid}\n`, { mode: 0o600 })
      return { directory, [Symbol.asyncDispose]: () => closed(server) }
    }
    // Another one was quicker: look again, and meet it.
    rmSync(join(directory, candidate), { force: true })
    await closed(server)
  }
}

function highest(directory: string): number {
  let highest = 0
  for (const name of readdirSync(directory)) {
    const [, number, suffix] = socketName.exec(name) ?? []
    if (suffix === undefined && number !== undefined) highest = Math.max(highest, Number(number))
  }
  return highest
}

function owns(directory: string, candidate: string, number: number): boolean {
  const name = join(directory, `owner-${number}`)
  try {
    linkSync(join(directory, candidate), name)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' || code === 'ENOENT') return false
    throw unsupported(directory, error)
  }
  // One that looked long ago may link a number whose time is over: its owner came and went, and has a successor.
  if (highest(directory) === number) return true
  rmSync(name, { force: true })
  return false
}

function listen(path: string, directory: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error) => reject(unsupported(directory, error)))
    // Not shared with the primary of a cluster: the owner is this process.
    server.listen({ path, exclusive: true }, () => {
      server.unref()
      resolve(server)
    })
  })
}

function answers(path: string, directory: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false)
      // A full backlog, or a process of another user: somebody is there.
      else if (error.code === 'EAGAIN' || error.code === 'EACCES' || error.code === 'EPERM') resolve(true)
      else reject(unsupported(directory, error))
    })
  })
}

/** Calls with a path of the file that a socket's address can hold. */
async function withShortPath<T>(
  directory: string,
  name: string,
  call: (path: string, directory: string) => Promise<T>,
): Promise<T> {
  const handle = openSync(directory, 'r')
  try {
    const ways = [directory, relative(process.cwd(), directory) || '.']
    if (process.platform === 'linux') ways.push(`/proc/self/fd/${handle}`)
    const way = ways.find((way) => Buffer.byteLength(way) + nameBytes <= pathBytes)
    if (way === undefined)
      throw new SeamarkError(
        'configuration',
        `The path of the store is too long for a socket in it: "${directory}" may have ${pathBytes - nameBytes} bytes. Choose a shorter one, or start in a directory near it.`,
      )
    return await call(`${way}/${name}`, directory)
  } finally {
    closeSync(handle)
  }
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

function inUse(directory: string): SeamarkError {
  let pid = ''
  try {
    pid = readFileSync(join(directory, pidFile), 'latin1').trim()
  } catch {
    // It has just begun: the message goes without.
  }
  const holder = /^\d+$/.test(pid)
    ? Number(pid) === process.pid
      ? `this process (${pid})`
      : `process ${pid}`
    : 'another process'
  return new SeamarkError(
    'store_in_use',
    `The store "${directory}" is in use by ${holder}: stop that one, or choose another directory.`,
  )
}

function unsupported(directory: string, cause: unknown): SeamarkError {
  return new SeamarkError(
    'configuration',
    `The store "${directory}" cannot be locked (${(cause as Error).message}): it must be a directory this user may write, on a local file system that holds sockets and hard links.`,
    { cause },
  )
}
