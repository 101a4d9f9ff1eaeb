/* The least that a deduplicating store must do with its bytes, in one C process: every regular file
 * below a folder is read, cut by content (gear hash of the last 64 bytes, two masks, 8/32/128 KiB),
 * each piece is hashed with SHA-256, and the pieces are compressed in frames of 1 MiB with zstd 1.
 * Nothing is looked up and nothing is stored. Usage: reference FOLDER */
#define _GNU_SOURCE
#include <fcntl.h>
#include <fts.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum { least = 8 << 10, mean = 32 << 10, most = 128 << 10, frame_max = 1 << 20, window = 4 << 20 };

static uint64_t gear[256];
static uint8_t *frame, *packed, *input;
static size_t frame_bytes, packed_max;
static uint64_t raw_total, packed_total, pieces;
static ZSTD_CCtx *zstd;
static EVP_MD_CTX *digest;
static EVP_MD *sha256;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void close_frame(void) {
    if (frame_bytes == 0) return;
    size_t size = ZSTD_compressCCtx(zstd, packed, packed_max, frame, frame_bytes, 1);
    if (ZSTD_isError(size)) fail("zstd");
    packed_total += size;
    frame_bytes = 0;
}

/* The end of the piece that begins at 0; `size` is at most `most`. */
static size_t cut(const uint8_t *bytes, size_t size) {
    if (size <= least) return size;
    const uint64_t strict = ~0ull << (64 - 17), loose = ~0ull << (64 - 13);
    uint64_t hash = 0;
    size_t at = least - 64;
    for (; at < least; at++) hash = (hash << 1) + gear[bytes[at]];
    size_t middle = size < mean ? size : mean;
    for (; at < middle; at++) {
        hash = (hash << 1) + gear[bytes[at]];
        if (!(hash & strict)) return at + 1;
    }
    for (; at < size; at++) {
        hash = (hash << 1) + gear[bytes[at]];
        if (!(hash & loose)) return at + 1;
    }
    return size;
}

static void take(const uint8_t *bytes, size_t size) {
    unsigned char name[EVP_MAX_MD_SIZE];
    unsigned length;
    if (!EVP_DigestInit_ex(digest, sha256, NULL) || !EVP_DigestUpdate(digest, bytes, size)
        || !EVP_DigestFinal_ex(digest, name, &length))
        fail("sha256");
    pieces += name[0] | 1;
    if (frame_bytes + size > frame_max) close_frame();
    memcpy(frame + frame_bytes, bytes, size);
    frame_bytes += size;
}

static void add(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) fail(path);
    size_t held = 0;
    for (;;) {
        ssize_t got = read(file, input + held, window - held);
        if (got < 0) fail(path);
        held += (size_t)got;
        raw_total += (uint64_t)got;
        size_t used = 0;
        while (held - used >= most || (got == 0 && used < held)) {
            size_t rest = held - used;
            size_t size = cut(input + used, rest < most ? rest : most);
            take(input + used, size);
            used += size;
        }
        memmove(input, input + used, held - used);
        held -= used;
        if (got == 0) break;
    }
    close(file);
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: reference FOLDER\n");
        return 2;
    }
    uint64_t state = 1;
    for (int i = 0; i < 256; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        gear[i] = state * 0x9e3779b97f4a7c15ull;
    }
    packed_max = ZSTD_compressBound(frame_max);
    frame = malloc(frame_max), packed = malloc(packed_max), input = malloc(window);
    zstd = ZSTD_createCCtx(), digest = EVP_MD_CTX_new();
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!frame || !packed || !input || !zstd || !digest || !sha256) fail("memory");
    char *folders[] = {arguments[1], NULL};
    FTS *walk = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!walk) fail(arguments[1]);
    for (FTSENT *entry; (entry = fts_read(walk));)
        if (entry->fts_info == FTS_F) add(entry->fts_path);
    fts_close(walk);
    close_frame();
    printf("%llu bytes, %llu compressed\n", (unsigned long long)raw_total,
        (unsigned long long)packed_total);
    return pieces == 0;
}
