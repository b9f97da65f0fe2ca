import {manifestLimits} from '../manifest.ts'

/** Limits on an archive (docs/formats/archive.md); all hold before anything in it is trusted. */
export const archiveLimits = {
  manifestBytes: manifestLimits.bytes,
  sidecarBytes: manifestLimits.sidecarBytes,
  /** The longest path or link target, and room for the records that stock tars add. */
  extendedHeaderBytes: 16 * 1024,
  pathBytes: manifestLimits.pathBytes,
  /** Zeros after the end of the archive: GNU tar fills up to 10 KiB, others to 32 KiB. */
  trailingZeros: 64 * 1024,
  /** What is not signed by size (the manifest itself, D2 bundles) may inflate by this at most. */
  ratio: 200,
  /** Bytes that may be inflated before the ratio counts. */
  ratioFrom: 1024 * 1024,
  /** All files of a D2 bundle, which signs no sizes. */
  legacyTotalBytes: 4 * 1024 * 1024 * 1024,
  /** zstd -19 needs 8 MiB; --ultra -22 needs 128 MiB, which a small device does not have. */
  zstdWindowLog: 26,
} as const
