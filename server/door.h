/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Doors: the addresses a server listens on, each with what is spoken there. An address as it is configured may say so before
 * it: "http://:8080", "https://:8443", "redirect://:80"; else it is https if the app has a certificate.
 */
#ifndef WEFT_SERVER_DOOR_H
#define WEFT_SERVER_DOOR_H

#include "lib/net/listener.h"

enum weft_door_kind {
    WEFT_DOOR_PLAIN,
    WEFT_DOOR_TLS,
    WEFT_DOOR_REDIRECT, /* plain, and all there is to be had is the way to the first door with TLS */
};

struct weft_server;

typedef struct weft_door {
    struct weft_server *server;
    weft_listener *listener;
    enum weft_door_kind kind;
} weft_door;

/* The address without what is before it. */
const char *weft_door_address(const char *text, bool has_tls, enum weft_door_kind *ret_kind);

#define WEFT_DOOR_URL_MAX (WEFT_LISTENER_URL_MAX + 24)

/* What people open: into buf, of WEFT_DOOR_URL_MAX bytes. Returns buf. */
const char *weft_door_url(const weft_door *door, char *buf);

#endif
