/**
 * Makes one request, and throws unless it succeeds.
 * @param {string} url
 * @param {{ method?: string, body?: unknown }} [request]
 * @returns {Promise<any>} the answer, if it is JSON
 */
export async function asJson(url, { method = 'GET', body } = {}) {
  const response = await fetch(url, {
    method,
    ...(body !== undefined && {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}
