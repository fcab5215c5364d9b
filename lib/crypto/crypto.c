/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/crypto/crypto.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

int weft_sha1(const void *data, size_t size, unsigned char ret_digest[WEFT_SHA1_SIZE])
{
    unsigned int digest_size = 0;
    if (!EVP_Digest(data, size, ret_digest, &digest_size, EVP_sha1(), NULL) || digest_size != WEFT_SHA1_SIZE)
        return -ENOMEM;
    return 0;
}

int weft_random_bytes(void *ret_bytes, size_t size)
{
    return size <= INT_MAX && RAND_bytes(ret_bytes, (int)size) == 1 ? 0 : -EIO;
}
