/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A client by TLS: caller ADDRESS [WORD=VALUE]..., words: ca, cert, key, name, alpn, insecure, timeout (ms), ask. Sends what
 * `ask` says with a newline, and prints the line that comes back; or the error, and what is known of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

static char **words;

static const char *value_of(const char *word)
{
    size_t size = strlen(word);
    for (char **at = words; *at; at++)
        if (strncmp(*at, word, size) == 0 && (*at)[size] == '=')
            return *at + size + 1;
    return NULL;
}

static int talk(weft_stream *s, const char *ask)
{
    weft_bytes line;
    char text[200];
    int size = snprintf(text, sizeof text, "%s\n", ask);
    WEFT_TRY(weft_stream_write(s, text, (size_t)size));
    WEFT_TRY(weft_stream_line(s, &line, 1000));
    printf("%.*s\n", (int)line.size, line.data);
    return 0;
}

static int call(weft_tls_context *context)
{
    __attribute__((cleanup(weft_stream_drop))) weft_stream *s = NULL;
    const char *timeout = value_of("timeout"), *ask = value_of("ask");
    WEFT_TRY(weft_tls_connect(&s, words[0], .context = context, .name = value_of("name"), .alpn = value_of("alpn"),
                              .timeout = timeout ? strtol(timeout, NULL, 10) * WEFT_MILLISECOND : 0));
    return talk(s, ask ? ask : "hello");
}

static int report(int rc)
{
    if (rc < 0)
        printf("failed: %s (%s)\n", weft_strerror(rc), weft_error_trail());
    return rc;
}

static int run(void *arg)
{
    weft_tls_context *context = NULL;
    bool is_default = !value_of("ca") && !value_of("cert") && !value_of("key") && !value_of("insecure");
    (void)arg;
    if (!is_default) {
        int rc = weft_tls_client_new(&context, .ca_file = value_of("ca"), .cert_file = value_of("cert"),
                                     .key_file = value_of("key"), .insecure = value_of("insecure") != NULL);
        if (rc < 0)
            return rc;
    }
    int rc = report(call(context));
    weft_tls_context_free(context);
    return rc;
}

int main(int argc, char **argv)
{
    words = argv + 1;
    return argc < 2 ? 2 : weft_run(run, NULL) < 0;
}
