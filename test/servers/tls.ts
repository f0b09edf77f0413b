import { join } from 'node:path'
import { root } from '../../scripts/step.js'

const folder = join(root, 'test/servers/certificates')

/**
 * The paths of what servers show as `localhost` and `127.0.0.1`, and of the authority that signed it, in PEM. Valid from
 * 2020 to 2120; nothing trusts it but tests, and the authority's own key is gone. Clients may show the same certificate.
 */
export const tls = {
  ca: join(folder, 'ca.pem'),
  certificate: join(folder, 'server.pem'),
  key: join(folder, 'server-key.pem'),
}
