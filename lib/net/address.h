/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Addresses as people write them, strictly:
 *
 *     127.0.0.1:80      IPv4, four decimal numbers
 *     [::1]:80          IPv6, in brackets (no zone)
 *     localhost:80      the same as 127.0.0.1:80: the one name that needs no resolver
 *     :80               all addresses of this machine, IPv6 and IPv4
 *     unix:/path        a unix socket; the rest of the text is the path, relative ones too
 *
 * A port is one to five digits, at most 65535. A path is not empty and fits into sun_path with its NUL (107 bytes on Linux).
 */
#ifndef WEFT_LIB_NET_ADDRESS_H
#define WEFT_LIB_NET_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <weft/base.h>

typedef struct weft_address {
    bool is_everywhere; /* ":80": sa is in6addr_any, to be opened for both families */
    socklen_t size;     /* of sa */
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } sa;
} weft_address;

/* 0, or -EINVAL; *ret_address is written only on success. */
int weft_address_parse(weft_address *ret_address, const char *text);

enum { WEFT_ADDRESS_NAME_SIZE = 254 }; /* of a host's name, with its NUL (RFC 1035 §2.3.4, without the root's dot) */

/* "example.org:80", "localhost:80": the host's name, of letters, digits, '-', '_' and dots, and a port from 1. What ends in a
 * number ("127.1", "0x7f.0x1") is no name, for a resolver would take it for an address that nobody has written so. 0, or
 * -EINVAL. */
int weft_address_split_name(const char *text, char ret_name[WEFT_ADDRESS_NAME_SIZE], int *ret_port);

/* The port of an IPv4 or IPv6 address, 0 of others. */
int weft_address_port(const weft_address *address);
void weft_address_set_port(weft_address *address, int port);

/* The number of an IPv4 or IPv6 address alone, "127.0.0.1" or "::1". 0; -EINVAL for a unix socket. */
int weft_address_host(const weft_address *address, char *buf, size_t size);

/* As weft_address_parse would read it: "127.0.0.1:80", "[::1]:80", "unix:/path" (of an unnamed socket "unix"); an IPv4 address
 * that has come through an IPv6 socket as IPv4. Cut to fit `size` (96 is enough for all but paths). Returns buf. */
const char *weft_address_format(const weft_address *address, char *buf, size_t size);

#endif
