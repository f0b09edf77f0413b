/**
 * What one instance may weigh. Every way in refuses more; nothing is cut silently.
 * Documented for users in `docs/reference/limits.md`, which a test holds against this table.
 */
export const limits = {
  /** Bytes of UTF-8 in a service name, an instance id, a check id or a claim's name. Consul and Curator allow no more. */
  nameBytes: 255,
  /** Bytes of a DNS label (RFC 1035, 2.3.4): a service created by people. */
  labelBytes: 63,
  /** Bytes of an address: a DNS name is at most 253 characters (RFC 1035). */
  addressBytes: 253,
  schemeBytes: 32,
  versionBytes: 256,
  zoneBytes: 255,
  /** Highest weight: a DNS SRV record's weight has 16 bits (RFC 2782). */
  weight: 65_535,
  tags: 64,
  tagBytes: 255,
  /** Consul keeps 64 pairs too; AWS Cloud Map's values may have 1,024 characters. */
  metadataPairs: 64,
  metadataKeyBytes: 255,
  metadataValueBytes: 1_024,
  checks: 16,
  /** Bytes of a path in a route. */
  routePathBytes: 1_024,
  routeMethods: 16,
  routeRoles: 32,
  /** Bytes kept of a check's output. Consul keeps 4 KB too. */
  outputBytes: 4_096,
  /** Check results in one health: the instance's own checks, maintenance, and what outside checkers report. */
  checkResults: 32,
  /** Bytes of UTF-8 in the key of an item. */
  itemKeyBytes: 1_024,
  /** Bytes in the values of one write. Consul's values have at most 512 KiB; what its face notes beside them comes on top. */
  writeBytes: 525_312,
  /** Operations in one write; as many as in a transaction of Consul. */
  writeOperations: 64,
  /** Milliseconds; a lease may be asked for at most a day, as Consul's sessions. */
  ttl: 86_400_000,
} as const
