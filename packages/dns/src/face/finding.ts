import type { Group } from './message-writer.ts'
import type { Code, ResourceRecord } from './record.ts'

/** What there is to say to a question. */
export interface Finding {
  readonly code: Code
  /** In no order: each answer has its own. */
  readonly groups: readonly Group[]
  /** How many of them an answer has at most, because somebody wants it so; default all. */
  readonly most?: number
  readonly authority: readonly ResourceRecord[]
  /** It only says that it is another name, of which we know nothing. */
  readonly alias?: string
  /** It is not ours: who knows more may be asked instead. */
  readonly elsewhere?: boolean
  /** Whether it is still so. Without it, nobody knows, and it is not kept. */
  readonly holds?: () => boolean
}

/** The names below one domain. */
export interface Zone {
  /** `labels` are in lower case, and without those of the domain. `depth`: how many aliases led here. */
  find(labels: readonly string[], type: number, depth: number): Finding
}
