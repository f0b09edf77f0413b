/** @import { Server } from '../server.js' */

/**
 * What an engine runs on: how its server is run, and what its driver does by itself.
 * @typedef {object} System
 * @property {string} driver the package
 * @property {string} settings of the server, and so what an acknowledged write survives
 * @property {(folder: string) => Promise<Server>} start with its data in that folder, which is empty
 * @property {(url: string) => Promise<Bare>} connect
 */

/**
 * A driver that does the least possible work for a registration and for learning of one.
 * @typedef {object} Bare
 * @property {Write} write
 * @property {Write} announce a write of which those learn who wait for it, where it is another
 * @property {(key: string, told: () => void) => Promise<void>} expect resolves once it waits for that key to be written,
 *   and then calls back once. One key at a time
 * @property {() => Promise<void>} close
 */

/**
 * Writes what was not there, with an expiry where the system has one; answers what removes it.
 * @typedef {(key: string, value: string) => Promise<() => Promise<void>>} Write
 */

/** Seconds: no lease ends while it is measured. */
export const ttl = 600
