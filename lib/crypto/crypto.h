/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Digests, base64 and randomness: the door to OpenSSL's libcrypto. Nothing here keeps state or waits. */
#ifndef WEFT_LIB_CRYPTO_CRYPTO_H
#define WEFT_LIB_CRYPTO_CRYPTO_H

#include <weft/base.h>

enum { WEFT_SHA1_SIZE = 20 };

/* The characters that base64 makes of `size` bytes, without a NUL. */
#define WEFT_BASE64_SIZE(size) (((size) + 2) / 3 * 4)

/* SHA-1 (RFC 3174), for protocols that name it; it guards no secret. 0, or -ENOMEM (or where the library refuses it). */
int weft_sha1(const void *data, size_t size, unsigned char ret_digest[WEFT_SHA1_SIZE]);

/* Random bytes that nobody can guess. 0, or -EIO when the system has none to give: then nothing may rest on them. */
int weft_random_bytes(void *ret_bytes, size_t size);

/* Base64 (RFC 4648 §4) with padding: WEFT_BASE64_SIZE(size) characters, no NUL. Returns their count. */
size_t weft_base64_encode(char *out, const void *data, size_t size);

/* Decodes exactly what weft_base64_encode writes: no white space, padding where it belongs, unused bits 0. `out` has room for
 * size / 4 * 3 bytes. The count of bytes, or -EINVAL. */
int64_t weft_base64_decode(void *out, const char *text, size_t size);

#endif
