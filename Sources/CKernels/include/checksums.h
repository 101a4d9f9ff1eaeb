/* Checksums of the disk format: CRC32C over headers, XXH3 over bodies.
 *
 * Callable from any thread; no state. CRC32C uses the SSE 4.2 or ARMv8 instruction where the
 * processor has it and a table elsewhere; the results are equal. */
#ifndef ASHLAR_CHECKSUMS_H
#define ASHLAR_CHECKSUMS_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli, RFC 3720 B.4), continuing from `crc` (0 to begin). */
uint32_t ashlar_crc32c(uint32_t crc, const void *data, size_t length);

/* The same by table alone: the oracle of the one above. */
uint32_t ashlar_crc32c_portable(uint32_t crc, const void *data, size_t length);

/* XXH3, 128 bits, seed 0 (xxHash specification 0.1.1); low half first. */
void ashlar_xxh3_128(const void *data, size_t length, uint64_t out[2]);

/* XXH3, 64 bits, with a seed: node boundaries, hash tables. */
uint64_t ashlar_xxh3_64(const void *data, size_t length, uint64_t seed);

#endif
