import { connect } from '@seamark/client'

// A service that announces itself with the id and at the URL that it is given, says so, and waits to be killed.
const [url, id = ''] = process.argv.slice(2)
const discovery = connect(url)
const announcement = await discovery.announce({ name: 'api', id, address: '10.0.0.1', port: 3000, ttl: '1h' })
await announcement.ready()
process.send?.('announced')
// It ends with whoever started it.
process.once('disconnect', () => process.exit())
