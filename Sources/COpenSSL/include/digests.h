/* Digests of 32 bytes by OpenSSL's EVP, as little of it as the names of chunks need.
 *
 * A shim and not OpenSSL's own headers, because those are thousands of macros that Swift either
 * cannot import or would re-import in every module.
 *
 * Digest implementations are fetched once per process (a fetch walks the providers under a lock);
 * a context belongs to one thread at a time. */
#ifndef ASHLAR_DIGESTS_H
#define ASHLAR_DIGESTS_H

#include <stddef.h>
#include <stdint.h>

#define ASHLAR_DIGEST_BYTES 32

/* Values are DiskFormat's HashAlgorithm. */
enum ashlar_digest_algorithm {
    ASHLAR_DIGEST_SHA256 = 1,
    ASHLAR_DIGEST_SHA512_256 = 2,
};

typedef struct ashlar_digest_context ashlar_digest_context;

/* Whether this OpenSSL offers the algorithm: 1 or 0. */
int ashlar_digest_available(int algorithm);

/* A context for one algorithm; NULL where that is not available or memory is out. */
ashlar_digest_context *ashlar_digest_new(int algorithm);

/* NULL is allowed. */
void ashlar_digest_free(ashlar_digest_context *context);

/* These return 1, or 0 where OpenSSL refused; `begin` forgets what was not finished. */
int ashlar_digest_begin(ashlar_digest_context *context);
int ashlar_digest_update(ashlar_digest_context *context, const void *data, size_t length);
int ashlar_digest_finish(ashlar_digest_context *context, uint8_t out[ASHLAR_DIGEST_BYTES]);

/* begin, update with the tag, update with the data, finish. */
int ashlar_digest_once(ashlar_digest_context *context, const void *tag, size_t tag_length,
    const void *data, size_t length, uint8_t out[ASHLAR_DIGEST_BYTES]);

#endif
