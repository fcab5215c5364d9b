/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/check.h"

static int parse_port(in_port_t *ret_port, const char *text)
{
    enum { DIGITS = 5, PORT_MAX = 65535 };
    size_t size = strlen(text);
    if (size < 1 || size > DIGITS)
        return -EINVAL;
    unsigned port = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    if (port > PORT_MAX)
        return -EINVAL;
    *ret_port = htons((in_port_t)port);
    return 0;
}

static int parse_path(weft_address *address, const char *path)
{
    size_t size = strlen(path);
    if (size < 1 || size >= sizeof address->sa.un.sun_path)
        return -EINVAL;
    address->sa.un.sun_family = AF_UNIX;
    memcpy(address->sa.un.sun_path, path, size + 1);
    address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1);
    return 0;
}

static int parse_in6(weft_address *address, const char *host, const char *port)
{
    address->sa.in6.sin6_family = AF_INET6;
    address->size = sizeof address->sa.in6;
    if (inet_pton(AF_INET6, host, &address->sa.in6.sin6_addr) != 1)
        return -EINVAL;
    return parse_port(&address->sa.in6.sin6_port, port);
}

static int parse_in(weft_address *address, const char *host, const char *port)
{
    address->sa.in.sin_family = AF_INET;
    address->size = sizeof address->sa.in;
    if (strcmp(host, "localhost") == 0)
        address->sa.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (inet_pton(AF_INET, host, &address->sa.in.sin_addr) != 1)
        return -EINVAL;
    return parse_port(&address->sa.in.sin_port, port);
}

static int parse(weft_address *address, const char *text)
{
    static const char UNIX[] = "unix:";
    if (strncmp(text, UNIX, sizeof UNIX - 1) == 0)
        return parse_path(address, text + sizeof UNIX - 1);
    const char *colon = strrchr(text, ':');
    if (!colon)
        return -EINVAL;
    address->is_everywhere = colon == text;
    if (address->is_everywhere)
        return parse_in6(address, "::", colon + 1);
    char host[INET6_ADDRSTRLEN + 2];
    size_t size = (size_t)(colon - text);
    if (size >= sizeof host)
        return -EINVAL;
    memcpy(host, text, size);
    host[size] = '\0';
    if (host[0] != '[')
        return parse_in(address, host, colon + 1);
    if (host[size - 1] != ']')
        return -EINVAL;
    host[size - 1] = '\0';
    return parse_in6(address, host + 1, colon + 1);
}

int weft_address_parse(weft_address *ret_address, const char *text)
{
    weft_address address = { 0 };
    int rc = parse(&address, text);
    if (rc == 0)
        *ret_address = address;
    return rc;
}

static bool ends_in_a_number(const char *name, size_t size)
{
    static const char digits[] = "0123456789";
    const char *end = name[size - 1] == '.' ? name + size - 1 : name + size, *label = end;
    while (label > name && label[-1] != '.')
        label--;
    bool is_hexadecimal = end - label >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X');
    return is_hexadecimal || strspn(label, digits) >= (size_t)(end - label);
}

int weft_address_split_name(const char *text, char ret_name[WEFT_ADDRESS_NAME_SIZE], int *ret_port)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t size = strspn(text, LETTERS);
    in_port_t port;
    if (size < 1 || size >= WEFT_ADDRESS_NAME_SIZE || text[size] != ':' || text[0] == '.' || ends_in_a_number(text, size))
        return -EINVAL;
    if (parse_port(&port, text + size + 1) < 0 || port == 0)
        return -EINVAL;
    memcpy(ret_name, text, size);
    ret_name[size] = '\0';
    *ret_port = ntohs(port);
    return 0;
}

int weft_address_port(const weft_address *address)
{
    if (address->sa.any.sa_family == AF_INET)
        return ntohs(address->sa.in.sin_port);
    return address->sa.any.sa_family == AF_INET6 ? ntohs(address->sa.in6.sin6_port) : 0;
}

void weft_address_set_port(weft_address *address, int port)
{
    DCHECK(address->sa.any.sa_family != AF_UNIX);
    in_port_t in_order = htons((in_port_t)port);
    if (address->sa.any.sa_family == AF_INET)
        address->sa.in.sin_port = in_order;
    else
        address->sa.in6.sin6_port = in_order;
}

int weft_address_host(const weft_address *address, char *buf, size_t size)
{
    const struct in6_addr *in6 = &address->sa.in6.sin6_addr;
    const void *number = address->sa.any.sa_family == AF_INET    ? (const void *)&address->sa.in.sin_addr
                         : address->sa.any.sa_family == AF_INET6 ? (const void *)in6
                                                                 : NULL;
    return number && inet_ntop(address->sa.any.sa_family, number, buf, (socklen_t)size) ? 0 : -EINVAL;
}

/* A path need not end with a NUL, and an unnamed socket's address ends before it. */
static void format_path(const weft_address *address, char *buf, size_t size)
{
    size_t before = offsetof(struct sockaddr_un, sun_path);
    size_t most = address->size > before ? address->size - before : 0;
    if (most > sizeof address->sa.un.sun_path)
        most = sizeof address->sa.un.sun_path;
    size_t length = strnlen(address->sa.un.sun_path, most);
    if (length)
        snprintf(buf, size, "unix:%.*s", (int)length, address->sa.un.sun_path);
    else
        snprintf(buf, size, "unix");
}

const char *weft_address_format(const weft_address *address, char *buf, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    int port = weft_address_port(address);
    const struct in6_addr *in6 = &address->sa.in6.sin6_addr;
    switch (address->sa.any.sa_family) {
    case AF_UNIX:
        format_path(address, buf, size);
        break;
    case AF_INET:
        inet_ntop(AF_INET, &address->sa.in.sin_addr, host, sizeof host);
        snprintf(buf, size, "%s:%d", host, port);
        break;
    case AF_INET6:
        if (IN6_IS_ADDR_V4MAPPED(in6)) {
            inet_ntop(AF_INET, &in6->s6_addr[12], host, sizeof host);
            snprintf(buf, size, "%s:%d", host, port);
        } else {
            inet_ntop(AF_INET6, in6, host, sizeof host);
            snprintf(buf, size, "[%s]:%d", host, port);
        }
        break;
    default:
        snprintf(buf, size, "unknown");
    }
    return buf;
}
