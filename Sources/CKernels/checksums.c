#include "checksums.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define CRC32C_POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t crc_table[8][256];

__attribute__((constructor)) static void make_crc_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (CRC32C_POLYNOMIAL & (0u - (crc & 1)));
        crc_table[0][byte] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (uint32_t byte = 0; byte < 256; byte++)
            crc_table[slice][byte] = (crc_table[slice - 1][byte] >> 8)
                ^ crc_table[0][crc_table[slice - 1][byte] & 0xff];
}

uint32_t ashlar_crc32c_portable(uint32_t crc, const void *data, size_t length) {
    const unsigned char *bytes = data;
    crc = ~crc;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        word ^= crc;
        crc = crc_table[7][word & 0xff] ^ crc_table[6][(word >> 8) & 0xff]
            ^ crc_table[5][(word >> 16) & 0xff] ^ crc_table[4][(word >> 24) & 0xff]
            ^ crc_table[3][(word >> 32) & 0xff] ^ crc_table[2][(word >> 40) & 0xff]
            ^ crc_table[1][(word >> 48) & 0xff] ^ crc_table[0][word >> 56];
        bytes += 8;
        length -= 8;
    }
    while (length--)
        crc = (crc >> 8) ^ crc_table[0][(crc ^ *bytes++) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(
    uint32_t crc, const void *data, size_t length) {
    const unsigned char *bytes = data;
    uint64_t state = ~crc;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        state = __builtin_ia32_crc32di(state, word);
        bytes += 8;
        length -= 8;
    }
    while (length--)
        state = __builtin_ia32_crc32qi((uint32_t)state, *bytes++);
    return ~(uint32_t)state;
}
#endif

uint32_t ashlar_crc32c(uint32_t crc, const void *data, size_t length) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse42(crc, data, length);
#endif
    return ashlar_crc32c_portable(crc, data, length);
}

void ashlar_xxh3_128(const void *data, size_t length, uint64_t out[2]) {
    XXH128_hash_t hash = XXH3_128bits(data, length);
    out[0] = hash.low64;
    out[1] = hash.high64;
}

uint64_t ashlar_xxh3_64(const void *data, size_t length, uint64_t seed) {
    return XXH3_64bits_withSeed(data, length, seed);
}
