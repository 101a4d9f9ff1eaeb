/* Whole zstd frames (RFC 8878), one call each, over libzstd's stable interface.
 *
 * A shim and not zstd.h itself, so that the settings of Ashlar's frames are in one place and
 * libzstd's error codes, which travel as huge size_t values, become three plain ones.
 *
 * A context belongs to one thread at a time. */
#ifndef ASHLAR_ZSTD_FRAMES_H
#define ASHLAR_ZSTD_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#define ASHLAR_ZSTD_NO_SPACE (-1)
#define ASHLAR_ZSTD_NO_MEMORY (-2)
#define ASHLAR_ZSTD_CORRUPT (-3)

typedef struct ZSTD_CCtx_s ashlar_zstd_compressor;
typedef struct ZSTD_DCtx_s ashlar_zstd_decompressor;

/* The most bytes a frame of `length` raw bytes takes; 0 where that has no answer. */
size_t ashlar_zstd_bound(size_t length);

/* NULL where memory is out. Frames get their content size, no checksum, no dictionary id. */
ashlar_zstd_compressor *ashlar_zstd_compressor_new(void);
void ashlar_zstd_compressor_free(ashlar_zstd_compressor *compressor);
int ashlar_zstd_compressor_set_level(ashlar_zstd_compressor *compressor, int level);
size_t ashlar_zstd_compressor_bytes(const ashlar_zstd_compressor *compressor);

/* The frame's length, or one of the codes above. */
ptrdiff_t ashlar_zstd_compress(ashlar_zstd_compressor *compressor, const void *source,
    size_t source_length, void *destination, size_t capacity);

ashlar_zstd_decompressor *ashlar_zstd_decompressor_new(void);
void ashlar_zstd_decompressor_free(ashlar_zstd_decompressor *decompressor);
size_t ashlar_zstd_decompressor_bytes(const ashlar_zstd_decompressor *decompressor);

/* The length of the frame that `source` begins with, found by walking its block headers without
 * decoding; ASHLAR_ZSTD_CORRUPT where it is not whole. */
ptrdiff_t ashlar_zstd_frame_length(const void *source, size_t source_length);

/* How many bytes were written, at most `capacity`, or one of the codes above. Decodes straight
 * into `destination`: the frame's numbers make it allocate nothing. */
ptrdiff_t ashlar_zstd_decompress(ashlar_zstd_decompressor *decompressor, const void *source,
    size_t source_length, void *destination, size_t capacity);

#endif
