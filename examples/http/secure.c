/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* HTTPS: one handler that says who asks, and a client's side that fetches a page of another server. */
#include <weft.h>

#include <stdlib.h>
#include <string.h>

static int who(weft_request *req)
{
    weft_tls_info tls;
    if (weft_request_tls(req, &tls) < 0)
        return weft_reply_text(req, 200, "somebody, by plain HTTP\n");
    if (!tls.client_verified)
        return weft_reply_text(req, 200, "somebody, by %s\n", tls.version);
    return weft_reply_text(req, 200, "%s, by %s\n", tls.client_subject, tls.version);
}

/* The first bytes that the server at an address says to a client that trusts `ca_file`. */
static int fetch(weft_request *req)
{
    static const char ask[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    weft_tls_context *trust = weft_app_state(req);
    __attribute__((cleanup(weft_stream_drop))) weft_stream *s = NULL;
    char answer[512];
    int64_t size = 0;
    WEFT_TIMEOUT (limit, 5 * WEFT_SECOND) {
        WEFT_TRY(weft_tls_connect(&s, weft_param(req, "address"), .context = trust));
        WEFT_TRY(weft_stream_write(s, ask, sizeof ask - 1));
        size = weft_stream_read(s, answer, sizeof answer);
    }
    WEFT_TRY((int)size);
    return weft_reply_bytes(req, 200, "text/plain", answer, (size_t)size);
}

int main(int argc, char **argv)
{
    const char *ca_file = getenv("CA_FILE"); /* NULL: whom the system trusts */
    weft_tls_context *trust;
    if (weft_tls_client_new(&trust, .ca_file = ca_file) < 0)
        return 1;
    weft_app *app = weft_app_new();
    weft_app_set(app, trust);
    weft_get(app, "/", who);
    weft_get(app, "/fetch/{address}", fetch);
    int status = weft_app_main(app, argc, argv);
    weft_tls_context_free(trust);
    return status;
}
