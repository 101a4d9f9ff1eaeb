/* Features by which chunks that resemble each other are found without comparing them (Broder, "On the
 * resemblance and containment of documents", 1997; with the N transforms of Shilane et al., "WAN
 * optimized replication of backup datasets using stream-informed delta compression", FAST 2012).
 *
 * The gear hash is taken at every position, as for cutting; one position in 64 on average is sampled,
 * by the hash itself. Feature i is the greatest value that transform i of the hash takes at a sampled
 * position. The share of features that two chunks have in common estimates the share of sampled
 * windows that they have in common.
 *
 * Callable from any thread; no state. */
#ifndef ASHLAR_SKETCH_H
#define ASHLAR_SKETCH_H

#include <stddef.h>
#include <stdint.h>

#define ASHLAR_SKETCH_FEATURES 12
/* A position is sampled where none of these bits of its hash is set. */
#define ASHLAR_SKETCH_SAMPLE_MASK 0x7e00000000000000u

/* Writes the features of `bytes` and returns how many positions were sampled; with none, and always
 * below 64 bytes, the features are all 0 and say nothing. */
size_t ashlar_sketch(const uint64_t table[256], const uint8_t *bytes, size_t length,
    uint64_t features[ASHLAR_SKETCH_FEATURES]);

/* The factor and the addend of a transform: hash * factor + addend, mod 2^64. */
void ashlar_sketch_transform(size_t index, uint64_t *factor, uint64_t *addend);

#endif
