#include "zeros.h"

#include <string.h>

#define WORD sizeof(uint64_t)
#define BLOCK (8 * WORD)

static inline uint64_t word_at(const unsigned char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, WORD);
    return word;
}

static inline uint64_t block_at(const unsigned char *bytes) {
    uint64_t any = 0;
    for (size_t word = 0; word < BLOCK / WORD; word++)
        any |= word_at(bytes + word * WORD);
    return any;
}

size_t ashlar_zero_prefix(const void *data, size_t length) {
    const unsigned char *bytes = data;
    size_t at = 0;
    while (length - at >= BLOCK && block_at(bytes + at) == 0)
        at += BLOCK;
    while (length - at >= WORD && word_at(bytes + at) == 0)
        at += WORD;
    while (at < length && bytes[at] == 0)
        at++;
    return at;
}

size_t ashlar_zero_suffix(const void *data, size_t length) {
    const unsigned char *bytes = data;
    size_t end = length;
    while (end >= BLOCK && block_at(bytes + end - BLOCK) == 0)
        end -= BLOCK;
    while (end >= WORD && word_at(bytes + end - WORD) == 0)
        end -= WORD;
    while (end > 0 && bytes[end - 1] == 0)
        end--;
    return length - end;
}

size_t ashlar_zero_run_find(
    const void *data, size_t length, size_t from, size_t minimum, size_t *run_length) {
    const unsigned char *bytes = data;
    /* A run that begins at `a` holds the whole word of the first probe at or behind `a`, for
     * that is at a + stride - 1 = a + minimum - 8 at the latest. */
    size_t stride = minimum - (WORD - 1);
    size_t low = from; /* no sought run begins before */
    size_t probe = from;
    while (probe <= length && length - probe >= WORD) {
        if (word_at(bytes + probe) != 0) {
            probe += stride;
            continue;
        }
        size_t begin = probe - ashlar_zero_suffix(bytes + low, probe - low);
        size_t end = probe + ashlar_zero_prefix(bytes + probe, length - probe);
        if (end - begin >= minimum) {
            *run_length = end - begin;
            return begin;
        }
        low = end;
        probe = probe + stride > low ? probe + stride : low;
    }
    *run_length = 0;
    return length;
}
