#include "zstd_frames.h"

#include <zstd.h>
#include <zstd_errors.h>

static ptrdiff_t length_or_code(size_t result) {
    if (!ZSTD_isError(result))
        return (ptrdiff_t)result;
    switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_dstSize_tooSmall:
        return ASHLAR_ZSTD_NO_SPACE;
    case ZSTD_error_memory_allocation:
        return ASHLAR_ZSTD_NO_MEMORY;
    default:
        return ASHLAR_ZSTD_CORRUPT;
    }
}

size_t ashlar_zstd_bound(size_t length) {
    size_t bound = ZSTD_compressBound(length);
    return ZSTD_isError(bound) ? 0 : bound;
}

ashlar_zstd_compressor *ashlar_zstd_compressor_new(void) {
    ZSTD_CCtx *compressor = ZSTD_createCCtx();
    if (compressor == NULL)
        return NULL;
    if (ZSTD_isError(ZSTD_CCtx_setParameter(compressor, ZSTD_c_contentSizeFlag, 1))
        || ZSTD_isError(ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 0))
        || ZSTD_isError(ZSTD_CCtx_setParameter(compressor, ZSTD_c_dictIDFlag, 0))) {
        ZSTD_freeCCtx(compressor);
        return NULL;
    }
    return compressor;
}

void ashlar_zstd_compressor_free(ashlar_zstd_compressor *compressor) {
    ZSTD_freeCCtx(compressor);
}

int ashlar_zstd_compressor_set_level(ashlar_zstd_compressor *compressor, int level) {
    return !ZSTD_isError(ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, level));
}

size_t ashlar_zstd_compressor_bytes(const ashlar_zstd_compressor *compressor) {
    return ZSTD_sizeof_CCtx(compressor);
}

ptrdiff_t ashlar_zstd_compress(ashlar_zstd_compressor *compressor, const void *source,
    size_t source_length, void *destination, size_t capacity) {
    return length_or_code(
        ZSTD_compress2(compressor, destination, capacity, source, source_length));
}

ashlar_zstd_decompressor *ashlar_zstd_decompressor_new(void) {
    return ZSTD_createDCtx();
}

void ashlar_zstd_decompressor_free(ashlar_zstd_decompressor *decompressor) {
    ZSTD_freeDCtx(decompressor);
}

size_t ashlar_zstd_decompressor_bytes(const ashlar_zstd_decompressor *decompressor) {
    return ZSTD_sizeof_DCtx(decompressor);
}

ptrdiff_t ashlar_zstd_frame_length(const void *source, size_t source_length) {
    return length_or_code(ZSTD_findFrameCompressedSize(source, source_length));
}

ptrdiff_t ashlar_zstd_decompress(ashlar_zstd_decompressor *decompressor, const void *source,
    size_t source_length, void *destination, size_t capacity) {
    return length_or_code(
        ZSTD_decompressDCtx(decompressor, destination, capacity, source, source_length));
}
