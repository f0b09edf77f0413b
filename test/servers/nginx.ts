import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import type { ProxyServer } from './haproxy.ts'
import { listens } from './listens.ts'
import { serverProgram } from './server-program.ts'

/** nginx in one process, with what stands in its configuration's `http`. */
export async function nginxServer(configuration: (port: number) => string): Promise<ProxyServer> {
  const port = await freePort()
  return serverProgram('nginx', (folder) => {
    const file = join(folder, 'nginx.conf')
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    for (const name of temporary) mkdirSync(join(folder, name), { recursive: true })
    writeFileSync(
      file,
      `daemon off;
master_process off;
pid ${join(folder, 'nginx.pid')};
error_log stderr;
events {}
http {
  access_log off;
${temporary.map((name) => `  ${name}_temp_path ${join(folder, name)};\n`).join('')}
${configuration(port)}
}
`,
    )
    return {
      args: ['-p', folder, '-e', 'stderr', '-c', file],
      ready: () => listens(port),
      facts: { url: `http://127.0.0.1:${port}`, port },
    }
  })
}
