/** Where hooks write to: pino's loggers are such ones, and Fastify's. */
export interface Logger {
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
  /** A logger that says this with each line. */
  child?(details: { readonly service: string }): Logger
}

/** The console, with the service's name before each line. */
export function consoleLogger(service?: string): Logger {
  const line = (message: string) => (service === undefined ? message : `${service}: ${message}`)
  return {
    info: (details, message) => console.info(line(message), details),
    warn: (details, message) => console.warn(line(message), details),
    error: (details, message) => console.error(line(message), details),
    child: ({ service }) => consoleLogger(service),
  }
}
