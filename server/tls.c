/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The server's side of TLS. A connection over TLS is one over another transport: all there is here is how it is opened, what a
 * handler may ask about it, the files it rests on, and the way to it from plain HTTP.
 */
#include "server/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/offload.h>
#include <weft/scope.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "server/request.h"

static const weft_duration WATCH_EVERY = 2 * WEFT_SECOND;

/* ---- doors ---- */

const char *weft_door_address(const char *text, bool has_tls, enum weft_door_kind *ret_kind)
{
    static const char *const words[] = { "http://", "https://", "redirect://" };
    for (int kind = WEFT_DOOR_PLAIN; kind <= WEFT_DOOR_REDIRECT; kind++) {
        size_t size = strlen(words[kind]);
        if (strncmp(text, words[kind], size) != 0)
            continue;
        *ret_kind = (enum weft_door_kind)kind;
        return text + size;
    }
    *ret_kind = has_tls ? WEFT_DOOR_TLS : WEFT_DOOR_PLAIN;
    return text;
}

const char *weft_door_url(const weft_door *door, char *buf)
{
    static const char plain[] = "http://";
    char url[WEFT_LISTENER_URL_MAX];
    weft_listener_url(door->listener, url, sizeof url);
    bool is_by_tls = door->kind == WEFT_DOOR_TLS && strncmp(url, plain, sizeof plain - 1) == 0;
    const char *address = is_by_tls ? url + sizeof plain - 1 : url;
    snprintf(buf, WEFT_DOOR_URL_MAX, "%s%.*s%s", is_by_tls ? "https://" : "", WEFT_LISTENER_URL_MAX - 1, address,
             door->kind == WEFT_DOOR_REDIRECT ? " (redirect)" : "");
    return buf;
}

int weft_tls_open(weft_connection *c, int fd, bool is_tcp)
{
    weft_loop *loop = c->server->loop;
    struct weft_tls_wrap_options options = { .context = c->server->app->tls->context };
    int rc = weft_tls_wrap(&c->transport, loop, &weft_connection_events, &options);
    if (rc < 0)
        return rc;
    rc = weft_transport_open_fd(weft_tls_inner(&c->transport), loop, fd, is_tcp, &weft_tls_inner_events);
    if (rc < 0)
        weft_tls_abandon(&c->transport);
    else
        weft_tls_start(&c->transport, false);
    return rc;
}

/* ---- what an app is given ---- */

void weft_app_tls_free(struct weft_app_tls *tls)
{
    if (!tls)
        return;
    weft_tls_context_free(tls->context);
    weft_mem_free(tls);
}

static int bad(const char *words)
{
    weft_log(WEFT_LOG_ERROR, "TLS: %s", words);
    return -EINVAL;
}

static int check(const weft_tls_options *o)
{
    if (o->certificate_count > WEFT_TLS_CERTIFICATES_MAX)
        return bad("there are more than 64 certificates");
    if (o->certificate_count == 0 && !o->self_signed)
        return bad("there is no certificate");
    for (size_t i = 0; i < o->certificate_count; i++)
        if (!o->certificates[i].cert_file || !o->certificates[i].key_file)
            return bad("a certificate needs its key, and a key its certificate");
    if ((o->client_auth != WEFT_TLS_NO_CLIENT_CERTIFICATE) != (o->client_ca_file != NULL))
        return bad("certificates of clients need a file of those who may sign them");
    if (o->handshake_timeout < 0 || o->record_timeout < 0 || o->hsts < 0)
        return bad("a duration is negative");
    return 0;
}

int weft_app_tls_with(weft_app *app, const weft_tls_options *given)
{
    weft_tls_options o = { 0 };
    IS_A(app, WEFT_APP_MAGIC);
    CHECK(!app->server);
    memcpy(&o, given, given->struct_size < sizeof o ? given->struct_size : sizeof o);
    int rc = check(&o);
    if (rc < 0)
        return rc;
    struct weft_app_tls *tls = weft_mem_calloc(1, sizeof *tls);
    if (!tls)
        return -ENOMEM;
    rc = weft_tls_server_new(&tls->context, &o);
    if (rc < 0) {
        weft_mem_free(tls);
        return rc;
    }
    if (o.hsts > 0)
        tls->hsts_size = (size_t)snprintf(tls->hsts, sizeof tls->hsts, "Strict-Transport-Security: max-age=%lld\r\n",
                                          (long long)(o.hsts / WEFT_SECOND));
    weft_app_tls_free(app->tls);
    app->tls = tls;
    return 0;
}

/* ---- files ---- */

int weft_tls_prepare(weft_app *app)
{
    weft_tls_words words;
    if (!app->tls)
        return 0;
    int rc = weft_tls_reload(app->tls->context, false, &words);
    if (rc < 0) {
        weft_log(WEFT_LOG_ERROR, "TLS: %s", words.text);
        return rc;
    }
    char fingerprint[WEFT_TLS_FINGERPRINT + 1];
    weft_tls_fingerprint(app->tls->context, fingerprint);
    weft_log(WEFT_LOG_INFO, "TLS: the first certificate's SHA-256 is %s", fingerprint);
    return 0;
}

void weft_tls_refresh(weft_app *app, bool always)
{
    weft_tls_words words;
    int rc = weft_tls_reload(app->tls->context, !always, &words);
    if (rc < 0)
        weft_log(WEFT_LOG_ERROR, "TLS: %s; the certificates of before stay in use", words.text);
    else if (rc > 0)
        weft_log(WEFT_LOG_INFO, "TLS: the certificates have been read again");
}

static int refresh_in_thread(void *arg)
{
    weft_tls_refresh(*(weft_app **)arg, false);
    return 0;
}

int weft_tls_watch(void *arg)
{
    weft_app *app = arg;
    int rc;
    while ((rc = weft_sleep(WATCH_EVERY)) == 0 || rc == -EAGAIN)
        rc = weft_offload(refresh_in_thread, &app);
    return 0;
}

/* ---- the way to it ---- */

static int port_with_tls(const weft_server *server)
{
    for (size_t i = 0; i < server->door_count; i++)
        if (server->doors[i].kind == WEFT_DOOR_TLS && weft_listener_port(server->doors[i].listener) > 0)
            return weft_listener_port(server->doors[i].listener);
    return 0;
}

/* "example.org:80" without the port; its brackets, if it is an IPv6 address, stay. */
static size_t name_size(const char *host)
{
    const char *end = *host == '[' ? strchr(host, ']') : NULL;
    return end ? (size_t)(end + 1 - host) : strcspn(host, ":");
}

/* A decoded path, encoded again; the escapes that decoding has left (%2F, %25) stay as they are. NULL when memory is out. */
static char *encode(weft_request *req, const char *path, size_t size)
{
    static const char hex[] = "0123456789ABCDEF", kept[] = "/-._~!$&'()*+,;=:@%";
    char *text = weft_alloc(req, 3 * size + 1), *at = text;
    for (size_t i = 0; text && i < size; i++) {
        unsigned char c = (unsigned char)path[i];
        bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (is_letter || (c >= '0' && c <= '9') || (c && strchr(kept, c))) {
            *at++ = (char)c;
        } else {
            *at++ = '%';
            *at++ = hex[c >> 4];
            *at++ = hex[c & 15];
        }
    }
    if (text)
        *at = '\0';
    return text;
}

void weft_tls_redirect(weft_request *req)
{
    const weft_server *server = req->connection->server;
    const char *host = req->target.host ? req->target.host : req->head.host;
    int port = port_with_tls(server);
    if (!host || !*host || *req->target.path != '/' || port == 0) {
        weft_reply_error(req, 400, "this port only leads to HTTPS");
        return;
    }
    char number[16] = "";
    if (port != 443)
        snprintf(number, sizeof number, ":%d", port);
    const char *query = req->target.query;
    const char *path = encode(req, req->target.path, req->target.path_size);
    const char *location = path ? weft_format(req, "https://%.*s%s%s%s%s", (int)name_size(host), host, number, path,
                                              query ? "?" : "", query ? query : "")
                                : NULL;
    bool is_safe = req->head.method_id == WEFT_HTTP_GET || req->head.method_id == WEFT_HTTP_HEAD;
    if (!location || weft_reply_redirect(req, is_safe ? 301 : 308, location) < 0)
        weft_reply_error(req, 503, NULL);
}

/* ---- what a handler may ask ---- */

const char *weft_request_scheme(const weft_request *req)
{
    return weft_tls_is(&req->connection->transport) ? "https" : "http";
}

static bool copy(weft_request *req, const char **ret_copy, const char *text)
{
    *ret_copy = text ? weft_format(req, "%s", text) : NULL;
    return !text || *ret_copy;
}

int weft_request_tls(weft_request *req, weft_tls_info *ret_info)
{
    struct weft_tls_description d;
    const weft_transport *t = &req->connection->transport;
    if (req->connection->transport_closed || !weft_tls_is(t) || !weft_tls_describe(t, &d))
        return -ENOENT;
    weft_tls_info info = { .client_verified = d.has_certificate && d.is_verified, .is_resumed = d.is_resumed };
    if (!copy(req, &info.version, d.version) || !copy(req, &info.cipher, d.cipher) ||
        !copy(req, &info.server_name, d.server_name) ||
        !copy(req, &info.client_subject, d.has_certificate ? d.subject : NULL) ||
        !copy(req, &info.client_fingerprint, d.has_certificate ? d.fingerprint : NULL))
        return -ENOMEM;
    *ret_info = info;
    return 0;
}

void weft_tls_count(weft_app *app)
{
    const struct weft_tls_counts *n = weft_tls_counts_of(weft_here);
    if (!app->tls || !n)
        return;
    struct weft_tls_counts *sum = &app->tls->counts;
    pthread_mutex_lock(&app->lock);
    sum->handshakes += n->handshakes;
    sum->resumed += n->resumed;
    sum->refused += n->refused;
    sum->slow += n->slow;
    sum->cut += n->cut;
    pthread_mutex_unlock(&app->lock);
}

void weft_tls_report(weft_app *app)
{
    if (!app->tls)
        return;
    pthread_mutex_lock(&app->lock);
    struct weft_tls_counts n = app->tls->counts;
    pthread_mutex_unlock(&app->lock);
    weft_log(WEFT_LOG_INFO, "TLS: %llu handshakes, of which %llu resumed; %llu refused, %llu too slow, %llu ended unannounced",
             (unsigned long long)n.handshakes, (unsigned long long)n.resumed, (unsigned long long)n.refused,
             (unsigned long long)n.slow, (unsigned long long)n.cut);
}
