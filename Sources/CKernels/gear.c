#include "gear.h"

#include <string.h>

#define LANES 4
/* Below this the lanes' warming costs more than they win. */
#define LANES_WORTH_BYTES (LANES * 256)

typedef struct {
    uint64_t strict;
    uint64_t loose;
} masks;

/* The register after the 63 bytes before `bytes`: one more byte makes a whole window. */
static inline uint64_t warmed(const uint64_t *table, const uint8_t *bytes) {
    uint64_t hash = 0;
    for (int offset = -(ASHLAR_GEAR_WINDOW_BYTES - 1); offset < 0; offset++)
        hash = (hash << 1) + table[bytes[offset]];
    return hash;
}

static inline uint32_t marked(size_t position, uint64_t hash, masks mask) {
    return (uint32_t)position | ((hash & mask.strict) == 0 ? ASHLAR_GEAR_STRICT : 0);
}

/* Scans positions first + 1...end, the register being warm for `first`. */
static inline size_t scan_from(const uint64_t *table, const uint8_t *bytes, size_t first,
    size_t end, uint64_t hash, masks mask, uint32_t *positions) {
    size_t found = 0;
    for (size_t at = first; at < end; at++) {
        hash = (hash << 1) + table[bytes[at]];
        if (__builtin_expect((hash & mask.loose) == 0, 0))
            positions[found++] = marked(at + 1, hash, mask);
    }
    return found;
}

size_t ashlar_gear_scan_serial(const uint64_t table[256], const uint8_t *bytes, size_t length,
    uint64_t strict_mask, uint64_t loose_mask, uint32_t *positions) {
    if (length == 0)
        return 0;
    masks mask = { strict_mask, loose_mask };
    return scan_from(table, bytes, 0, length, warmed(table, bytes), mask, positions);
}

#define STEP(lane)                                                                               \
    hash##lane = (hash##lane << 1) + table[bytes[at + lane * share]];                            \
    if (__builtin_expect((hash##lane & mask.loose) == 0, 0))                                     \
        positions[lane * share + found##lane++] = marked(at + lane * share + 1, hash##lane, mask);

size_t ashlar_gear_scan(const uint64_t table[256], const uint8_t *bytes, size_t length,
    uint64_t strict_mask, uint64_t loose_mask, uint32_t *positions) {
    if (length < LANES_WORTH_BYTES)
        return ashlar_gear_scan_serial(
            table, bytes, length, strict_mask, loose_mask, positions);
    masks mask = { strict_mask, loose_mask };
    /* A lane writes to its own part of `positions`, which has room for every byte of it; what
     * the shares leave over (fewer than four bytes) follows the last lane. */
    size_t share = length / LANES;
    uint64_t hash0 = warmed(table, bytes);
    uint64_t hash1 = warmed(table, bytes + share);
    uint64_t hash2 = warmed(table, bytes + 2 * share);
    uint64_t hash3 = warmed(table, bytes + 3 * share);
    size_t found0 = 0, found1 = 0, found2 = 0, found3 = 0;
    for (size_t at = 0; at < share; at++) {
        STEP(0)
        STEP(1)
        STEP(2)
        STEP(3)
    }
    found3 += scan_from(table, bytes, LANES * share, length, hash3, mask,
        positions + 3 * share + found3);
    size_t found = found0;
    memmove(positions + found, positions + share, found1 * sizeof *positions);
    found += found1;
    memmove(positions + found, positions + 2 * share, found2 * sizeof *positions);
    found += found2;
    memmove(positions + found, positions + 3 * share, found3 * sizeof *positions);
    return found + found3;
}
