export { HttpEngine, type HttpOptions, http } from './http.ts'
