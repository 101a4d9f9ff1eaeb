#include "digests.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

struct ashlar_digest_context {
    EVP_MD_CTX *evp;
};

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;
static EVP_MD *sha512_256;

static EVP_MD *fetch(const char *name) {
    EVP_MD *digest = EVP_MD_fetch(NULL, name, NULL);
    if (digest != NULL && EVP_MD_get_size(digest) != ASHLAR_DIGEST_BYTES) {
        EVP_MD_free(digest);
        return NULL;
    }
    return digest;
}

/* Never freed: they live as long as the process. */
static void fetch_all(void) {
    sha256 = fetch("SHA2-256");
    sha512_256 = fetch("SHA2-512/256");
}

static const EVP_MD *digest_of(int algorithm) {
    pthread_once(&fetch_once, fetch_all);
    switch (algorithm) {
    case ASHLAR_DIGEST_SHA256:
        return sha256;
    case ASHLAR_DIGEST_SHA512_256:
        return sha512_256;
    default:
        return NULL;
    }
}

int ashlar_digest_available(int algorithm) {
    return digest_of(algorithm) != NULL;
}

ashlar_digest_context *ashlar_digest_new(int algorithm) {
    const EVP_MD *digest = digest_of(algorithm);
    if (digest == NULL)
        return NULL;
    ashlar_digest_context *context = malloc(sizeof *context);
    if (context == NULL)
        return NULL;
    context->evp = EVP_MD_CTX_new();
    if (context->evp == NULL || EVP_DigestInit_ex2(context->evp, digest, NULL) != 1) {
        ashlar_digest_free(context);
        return NULL;
    }
    return context;
}

void ashlar_digest_free(ashlar_digest_context *context) {
    if (context == NULL)
        return;
    EVP_MD_CTX_free(context->evp);
    free(context);
}

int ashlar_digest_begin(ashlar_digest_context *context) {
    /* No digest given: the one of `ashlar_digest_new` again, without its set-up. */
    return EVP_DigestInit_ex2(context->evp, NULL, NULL) == 1;
}

int ashlar_digest_update(ashlar_digest_context *context, const void *data, size_t length) {
    return length == 0 || EVP_DigestUpdate(context->evp, data, length) == 1;
}

int ashlar_digest_finish(ashlar_digest_context *context, uint8_t out[ASHLAR_DIGEST_BYTES]) {
    unsigned int length = 0;
    return EVP_DigestFinal_ex(context->evp, out, &length) == 1 && length == ASHLAR_DIGEST_BYTES;
}

int ashlar_digest_once(ashlar_digest_context *context, const void *tag, size_t tag_length,
    const void *data, size_t length, uint8_t out[ASHLAR_DIGEST_BYTES]) {
    return ashlar_digest_begin(context) && ashlar_digest_update(context, tag, tag_length)
        && ashlar_digest_update(context, data, length) && ashlar_digest_finish(context, out);
}
