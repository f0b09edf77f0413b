export interface Answer<Body> {
  readonly status: number
  readonly body: Body
}

/** What a server answers below its `/api/v1`; a body is sent with PUT. */
export async function asked<Body = unknown>(
  { url }: { readonly url: string },
  path: string,
  body?: unknown,
): Promise<Answer<Body>> {
  const response = await fetch(`${url}/api/v1${path}`, {
    // Longer than any answer may take: one that never comes is to fail here, not to hang.
    signal: AbortSignal.timeout(15_000),
    ...(body !== undefined && {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  })
  return { status: response.status, body: (await response.json()) as Body }
}

export interface ServiceAnswer {
  readonly instances: readonly { readonly id: string; readonly health: { readonly status: string } }[]
  readonly staleSince: number | null
}

export function service(server: { readonly url: string }, name: string): Promise<Answer<ServiceAnswer>> {
  return asked(server, `/namespaces/default/services/${name}`)
}
