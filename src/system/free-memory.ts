/** Buffers smaller than this may share their memory with others (Node's pool). */
const OWN_BYTES = 1024 * 1024

/**
 * Gives the memory of a large buffer back at once, where the garbage collector, which sees only a
 * small object, may take its time. The caller owns the bytes; they are gone for everybody.
 */
export function freeMemory({buffer}: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength >= OWN_BYTES) buffer.transfer(0)
}
