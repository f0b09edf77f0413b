import { run } from './program.ts'

// A reader that has enough, such as `head`, ends the program, and that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit()
  throw error
})

// Whoever read the log is gone: a server goes on without.
process.stderr.on('error', () => {})

process.exitCode = await run(process.argv.slice(2), { environment: process.env, folder: process.cwd() })
