/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Words for errors. errno's own come from strerrordesc_np where there is one: it needs no buffer and no lock. */
#include <weft/error.h>

#include <string.h>

#include "lib/base/http_status.h"

static const char *own_words(int error)
{
    switch (error) {
    case WEFT_ECANCELED:
        return "cancelled";
    case WEFT_EDEADLINE:
        return "the deadline has passed";
    case WEFT_ECLOSED:
        return "closed";
    case WEFT_EGONE:
        return "the client has gone";
    case WEFT_EPROTOCOL:
        return "the peer broke the protocol";
    case WEFT_ETLS:
        return "the peer does not speak TLS as it should";
    case WEFT_ECERTIFICATE:
        return "the peer's certificate is not trusted";
    case WEFT_ENAME:
        return "no address for the host's name";
    default:
        return NULL;
    }
}

const char *weft_strerror(int error)
{
    if (error >= 0)
        return "success";
    const char *words = own_words(error);
    if (!words && error <= -5100 && error >= -5599)
        words = weft_http_status_text(-5000 - error);
    if (!words && error > -4000)
        words = strerrordesc_np(-error);
    return words ? words : "unknown error";
}
