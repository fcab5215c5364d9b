/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/net/names.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

#include <weft/error.h>

#include "lib/base/check.h"
#include "lib/task/threads.h"

/* Copied into the thread and back. */
struct look_up {
    char name[WEFT_ADDRESS_NAME_SIZE];
    int port;
    int error; /* the resolver's */
    int count;
    weft_address found[WEFT_NAMES_FOUND_MOST];
};

static void take(struct look_up *l, const struct addrinfo *list)
{
    for (const struct addrinfo *at = list; at && l->count < WEFT_NAMES_FOUND_MOST; at = at->ai_next) {
        weft_address *address = &l->found[l->count];
        if ((at->ai_family != AF_INET && at->ai_family != AF_INET6) || at->ai_addrlen > sizeof address->sa)
            continue;
        *address = (weft_address){ .size = at->ai_addrlen };
        memcpy(&address->sa, at->ai_addr, at->ai_addrlen);
        weft_address_set_port(address, l->port);
        l->count++;
    }
}

static int look_up(void *arg)
{
    struct look_up *l = arg;
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    l->error = getaddrinfo(l->name, NULL, &hints, &list);
    if (l->error == EAI_MEMORY)
        return -ENOMEM;
    if (l->error == EAI_SYSTEM)
        return errno ? -errno : -EIO;
    if (l->error == 0) {
        take(l, list);
        freeaddrinfo(list);
    }
    return 0;
}

int weft_names_look_up(const char *name, int port, weft_address ret_found[WEFT_NAMES_FOUND_MOST])
{
    struct look_up l = { .port = port };
    size_t size = strlen(name);
    CHECK(size < sizeof l.name);
    memcpy(l.name, name, size + 1);
    int rc = weft_threads_call(&(struct weft_threads_call){
        .kind = WEFT_THREADS_NAMES,
        .name = "look-up of a host",
        .fn = look_up,
        .arg = &l,
        .copy_size = sizeof l,
        .place = __builtin_return_address(0),
    });
    if (rc < 0)
        return rc;
    if (l.count == 0)
        return weft_fail(WEFT_ENAME, "the host %s: %s", name, l.error ? gai_strerror(l.error) : "no address that can be used");
    memcpy(ret_found, l.found, (size_t)l.count * sizeof l.found[0]);
    return l.count;
}
