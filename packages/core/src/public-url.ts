/**
 * A URL, or several joined by commas, as it may be shown: without users and passwords. It need not be a right one: messages
 * about wrong ones are what this is for.
 */
export function publicUrl(url: string): string {
  // Up to the last "@": in a password that was not escaped may be any of ",", "/" and "@".
  return url.replace(/^(\s*[A-Za-z][A-Za-z0-9+.-]*:\/\/|).*@/s, '$1')
}
