/** What a node asks a source for. */
export type Question = {
  readonly running: string
  readonly floor: string
  /** As the node's configuration has them; a source may know fewer. */
  readonly channels: readonly string[]
  /** This version instead of the highest that may be taken. */
  readonly version?: string
}

/** Something that can be fetched. What is said of it is a claim until stage() has verified it. */
export type Offer = {
  readonly version: string
  readonly channel?: string
  /** Bytes, when they are signed. */
  readonly size?: number
  /** Signed, in hex; D2's /check and a folder give none. */
  readonly sha256?: string
  /** From a version that the node may have; tried before the whole, which is fetched if one fails. */
  readonly deltas: readonly Delta[]
  /** The whole release manifest as it was signed, for a node whose program is one file (D0). */
  readonly releaseText?: string
  /**
   * A file or a folder on this machine, of the signed size and digest where there are any. Refuses
   * with upgrade_download_failed, upgrade_checksum_mismatch, upgrade_size_exceeded,
   * upgrade_disk_full.
   */
  fetch(onProgress?: OnProgress): Promise<string>
}

/** An artifact that makes a version out of one that is installed (docs/formats/delta.md). */
export type Delta = {
  readonly from: string
  readonly size: number
  readonly sha256: string
  /** As Offer.fetch. */
  fetch(onProgress?: OnProgress): Promise<string>
}

/** Bytes so far and, when known, all of them. */
export type OnProgress = (done: number, total: number | undefined) => void

export type Answer = {
  /** Absent when there is nothing that the node could go to. */
  readonly offer?: Offer
  /** When the source wants to be asked again. */
  readonly pollAfterSecs?: number
  /** Since when the source says nothing new though it should, in seconds since the epoch. */
  readonly staleSince?: number
  /** Higher than what is offered now, and was offered before. */
  readonly withdrawn?: string
}

/** A place where new versions come from. */
export type Source = {
  /**
   * Asks, verifies what is signed, writes nothing but what it has verified. Refuses with
   * upgrade_source_unreachable, upgrade_source_invalid, upgrade_signature_invalid,
   * upgrade_license_invalid, upgrade_license_frozen, upgrade_identity_not_allowed.
   */
  find(question: Question): Promise<Answer>
}
