/* The gear hash of content-defined chunking (Xia et al., "FastCDC", USENIX ATC 2016).
 *
 * The hash at position p of a buffer (p counts the bytes before it) is
 *
 *     h(p) = sum over i in 0..63 of table[bytes[p - 1 - i]] << i   (mod 2^64)
 *
 * so it depends on the 64 bytes before p alone: a byte's word leaves the register after 64 shifts.
 * Hence a range can be scanned in several lanes, each warmed with the bytes before it, which hides
 * the latency of the add that a serial scan waits for.
 *
 * Callable from any thread; no state. */
#ifndef ASHLAR_GEAR_H
#define ASHLAR_GEAR_H

#include <stddef.h>
#include <stdint.h>

/* How many bytes the hash at a position depends on. */
#define ASHLAR_GEAR_WINDOW_BYTES 64

/* Set in a scan's result where the position passes the strict mask too. */
#define ASHLAR_GEAR_STRICT 0x80000000u

/* Table 1 of the disk format. */
extern const uint64_t ashlar_gear_table_1[256];

/* Candidates among the positions 1...length of `bytes`, ascending: those whose hash has no bit of
 * `loose_mask`. Writes them to `positions`, with ASHLAR_GEAR_STRICT where the hash has no bit of
 * `strict_mask` either (strict_mask contains loose_mask), and returns how many they are.
 *
 * The caller owes: bytes[-63]...bytes[-1] are readable, `positions` has room for `length` entries,
 * `length` < 2^31. Four lanes. */
size_t ashlar_gear_scan(const uint64_t table[256], const uint8_t *bytes, size_t length,
    uint64_t strict_mask, uint64_t loose_mask, uint32_t *positions);

/* The same in one lane: for short ranges, and to compare with. */
size_t ashlar_gear_scan_serial(const uint64_t table[256], const uint8_t *bytes, size_t length,
    uint64_t strict_mask, uint64_t loose_mask, uint32_t *positions);

#endif
