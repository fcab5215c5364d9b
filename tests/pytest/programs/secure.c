/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Tells each client what TLS says of its connection; answers late, or with much. */
#include <stdlib.h>

#include <weft.h>

static int tell(weft_request *req)
{
    weft_tls_info info;
    int rc = weft_request_tls(req, &info);
    if (rc == -2) /* ENOENT */
        return weft_reply_text(req, 200, "%s", weft_request_scheme(req));
    if (rc < 0)
        return rc;
    return weft_reply_text(req, 200, "%s %s %s name=%s subject=%s verified=%d resumed=%d fingerprint=%s",
                           weft_request_scheme(req), info.version, info.cipher, info.server_name ? info.server_name : "-",
                           info.client_subject ? info.client_subject : "-", info.client_verified, info.is_resumed,
                           info.client_fingerprint ? info.client_fingerprint : "-");
}

static int late(weft_request *req)
{
    WEFT_TRY(weft_sleep(weft_param_int(req, "ms") * WEFT_MILLISECOND));
    return weft_reply_text(req, 200, "late");
}

static int much(weft_request *req)
{
    int64_t size = weft_param_int(req, "size");
    static const char piece[10000];
    WEFT_TRY(weft_reply_stream(req, 200, "application/octet-stream", size));
    for (int64_t left = size; left > 0;) {
        int64_t here = left < (int64_t)sizeof piece ? left : (int64_t)sizeof piece;
        WEFT_TRY(weft_write(req, piece, (size_t)here));
        left -= here;
    }
    return 0;
}

static int count(weft_request *req)
{
    char buf[8192];
    int64_t got, total = 0;
    while ((got = weft_body_read(req, buf, sizeof buf)) > 0)
        total += got;
    if (got < 0)
        return (int)got;
    return weft_reply_text(req, 200, "%lld", (long long)total);
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/", tell);
    weft_get(app, "/late/{ms:int}", late);
    weft_get(app, "/much/{size:int}", much);
    weft_post(app, "/count", count, .body_limit = WEFT_NO_LIMIT);
    return weft_app_main(app, argc, argv);
}
