/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* The reason phrases of HTTP's status codes (RFC 9110 §15), for status lines and for weft_strerror. */
#ifndef WEFT_LIB_BASE_HTTP_STATUS_H
#define WEFT_LIB_BASE_HTTP_STATUS_H

/* "Not Found" for 404; "Unknown" for a code nobody has registered. Static. */
const char *weft_http_status_text(int status);

#endif
