/* RocksDB behind a plain C face: an ordered key-value store whose loss costs time, never data.
 *
 * Why a shim of our own: the C header of RocksDB 7.8.3 has neither the write buffer manager nor
 * the cache-charging options, and crosses the border once for each key of a batch. Here a batch
 * is one buffer, a value is copied once into the caller's memory, and options follow from one
 * memory budget.
 *
 * Invariants:
 *  - One column family, no write-ahead log, one flushing thread: memtables reach the disk in the
 *    order in which they were written, so that after a crash a prefix of the batches is left.
 *  - No C++ exception leaves these functions. Each returns a code; the text of the calling
 *    thread's last failure is in ashlar_rocks_error_text.
 *  - Every block read from the disk is checked against its checksum.
 *
 * Threads: all functions may be called from any thread at once, but ashlar_rocks_free (no other
 * call may be under way) and those of one iterator (one thread, the one that made it). Opening
 * starts RocksDB's background threads: open only after the process has become a daemon, never
 * before a fork. */
#ifndef ASHLAR_CROCKSDB_H
#define ASHLAR_CROCKSDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ashlar_rocks ashlar_rocks;
typedef struct ashlar_rocks_iterator ashlar_rocks_iterator;

typedef enum ashlar_rocks_code {
    ASHLAR_ROCKS_OK = 0,
    ASHLAR_ROCKS_NOT_FOUND = 1, /* no such key, or the end of the iteration; no text */
    ASHLAR_ROCKS_TOO_SMALL = 2, /* the buffer; the length needed was returned; no text */
    ASHLAR_ROCKS_DAMAGED = 3,   /* cannot be read: missing, torn, rotten or of another kind */
    ASHLAR_ROCKS_BUSY = 4,      /* another handle or process holds the folder */
    ASHLAR_ROCKS_NO_SPACE = 5,
    ASHLAR_ROCKS_IO = 6,            /* anything else the system refused, memory included */
    ASHLAR_ROCKS_CLOSED = 7,        /* ashlar_rocks_close was called before */
    ASHLAR_ROCKS_INVALID_BATCH = 8, /* not the layout below; nothing was applied */
} ashlar_rocks_code;

typedef struct ashlar_rocks_options {
    uint64_t memory_bytes;    /* for blocks, filters, indexes, memtables, table readers together */
    uint32_t background_jobs; /* 2: one flush and one compaction at a time; 2 to 4 */
    bool read_only;           /* nothing is written, no lock is taken */
    bool create;              /* when the folder holds no store; its parent must exist */
} ashlar_rocks_options;

/* An entry of an iteration; the pointers are valid until the next call with the iterator. */
typedef struct ashlar_rocks_entry {
    const void *key;
    size_t key_length;
    const void *value;
    size_t value_length;
} ashlar_rocks_entry;

/* Opens the store in the folder `path`; on success `*out` is to be given to ashlar_rocks_free. A
 * folder that holds tables or a manifest but no CURRENT file is damaged, not empty, whatever
 * `create` says. */
ashlar_rocks_code ashlar_rocks_open(
    const char *path, const ashlar_rocks_options *options, ashlar_rocks **out);

/* Flushes if asked, then ends all use; later calls return ASHLAR_ROCKS_CLOSED, a second close OK.
 * Waits for the calls that are under way, iterators included. Memtables that were not flushed are
 * dropped. The store is closed even if the result is an error (that of the flush). */
ashlar_rocks_code ashlar_rocks_close(ashlar_rocks *store, bool flushing);

/* Closes without flushing where that was not done, and frees the handle. NULL is ignored. */
void ashlar_rocks_free(ashlar_rocks *store);

/* Deletes all files of the store in `path`, and the folder when nothing else is in it. A folder
 * that does not exist is a success. BUSY when the store is open. */
ashlar_rocks_code ashlar_rocks_destroy(const char *path);

/* Copies the value of `key` to `buffer` and its length to `*length`; with TOO_SMALL only the
 * latter. */
ashlar_rocks_code ashlar_rocks_get(
    ashlar_rocks *store, const void *key, size_t key_length, void *buffer, size_t capacity,
    size_t *length);

/* Applies packed puts and deletes, all or none:
 *
 *     op u8 (1 put, 2 delete) | key length u32 | value length u32 | key | value   …   little-endian
 */
ashlar_rocks_code ashlar_rocks_write(ashlar_rocks *store, const void *batch, size_t length);

/* Begins an iteration over the keys that begin with `prefix` and are not below `from`, as they
 * are now. Blocks read by it displace others of the cache only if `fill_cache`. On success `*out`
 * is to be given to ashlar_rocks_iterator_free by the same thread. */
ashlar_rocks_code ashlar_rocks_iterate(
    ashlar_rocks *store, const void *prefix, size_t prefix_length, const void *from,
    size_t from_length, bool fill_cache, ashlar_rocks_iterator **out);

/* The next entry (the first one, at first) in memcmp order; NOT_FOUND at the end. */
ashlar_rocks_code ashlar_rocks_next(ashlar_rocks_iterator *iterator, ashlar_rocks_entry *entry);
void ashlar_rocks_iterator_free(ashlar_rocks_iterator *iterator);

/* Makes everything written before durable. After an I/O error of the background it first tries to
 * set the store going again. From a full disk RocksDB recovers by itself: it looks every five
 * seconds whether there is room, and until then writes and flushes return NO_SPACE; reads go on,
 * and nothing that was written is lost while the store stays open. */
ashlar_rocks_code ashlar_rocks_flush(ashlar_rocks *store);

/* Flushes, then merges all tables into the last level. */
ashlar_rocks_code ashlar_rocks_compact(ashlar_rocks *store);

/* Bytes of all tables on the disk; 0 when closed. */
uint64_t ashlar_rocks_stored_bytes(ashlar_rocks *store);

/* Bytes of memory in use: block cache (with what is charged to it) and memtables; 0 when closed. */
uint64_t ashlar_rocks_memory_bytes(ashlar_rocks *store);

/* What the last failing call of this thread said, NUL-terminated; valid until its next failing
 * call. */
const char *ashlar_rocks_error_text(void);

#ifdef __cplusplus
}
#endif

#endif
