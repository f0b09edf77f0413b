export { type AnnouncedServer, type Middleware, seamark } from './seamark.ts'
