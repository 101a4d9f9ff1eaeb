/* Finding zero bytes at the speed of memory, and runs of them by looking at few bytes only.
 *
 * Callable from any thread; no state; any alignment. */
#ifndef ASHLAR_ZEROS_H
#define ASHLAR_ZEROS_H

#include <stddef.h>
#include <stdint.h>

/* How many zero bytes `data` begins with. */
size_t ashlar_zero_prefix(const void *data, size_t length);

/* How many zero bytes `data` ends with. */
size_t ashlar_zero_suffix(const void *data, size_t length);

/* The first maximal run of at least `minimum` zero bytes in data[from..<length]; zeros before
 * `from` do not count. Returns where it begins and sets *run_length; `length` and 0 where there is
 * none. Reads 8 bytes in every minimum - 7 where they are not zeros. `minimum` >= 8. */
size_t ashlar_zero_run_find(
    const void *data, size_t length, size_t from, size_t minimum, size_t *run_length);

#endif
