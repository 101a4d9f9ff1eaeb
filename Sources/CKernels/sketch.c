#include "sketch.h"

#include "gear.h"

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014): well mixed constants from consecutive numbers. */
static inline uint64_t mixed(uint64_t number) {
    uint64_t z = number * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void ashlar_sketch_transform(size_t index, uint64_t *factor, uint64_t *addend) {
    *factor = mixed(2 * (uint64_t)index + 1) | 1;
    *addend = mixed(2 * (uint64_t)index + 2);
}

size_t ashlar_sketch(const uint64_t table[256], const uint8_t *bytes, size_t length,
    uint64_t features[ASHLAR_SKETCH_FEATURES]) {
    uint64_t factors[ASHLAR_SKETCH_FEATURES], addends[ASHLAR_SKETCH_FEATURES];
    for (size_t i = 0; i < ASHLAR_SKETCH_FEATURES; i++) {
        features[i] = 0;
        ashlar_sketch_transform(i, &factors[i], &addends[i]);
    }
    if (length < ASHLAR_GEAR_WINDOW_BYTES)
        return 0;
    uint64_t hash = 0;
    for (size_t at = 0; at < ASHLAR_GEAR_WINDOW_BYTES - 1; at++)
        hash = (hash << 1) + table[bytes[at]];
    size_t sampled = 0;
    for (size_t at = ASHLAR_GEAR_WINDOW_BYTES - 1; at < length; at++) {
        hash = (hash << 1) + table[bytes[at]];
        if (__builtin_expect((hash & ASHLAR_SKETCH_SAMPLE_MASK) != 0, 1))
            continue;
        sampled++;
        for (size_t i = 0; i < ASHLAR_SKETCH_FEATURES; i++) {
            uint64_t value = hash * factors[i] + addends[i];
            features[i] = value > features[i] ? value : features[i];
        }
    }
    return sampled;
}
