/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Nothing is kept between calls: a header is short, and is looked at again from its beginning when more has come. The line of
 * version 1 is judged once it is whole; its beginning, and that of version 2, as far as they have come.
 */
#include "lib/http/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "lib/base/check.h"

enum {
    LINE_MAX_SIZE = 107, /* of version 1, with its CRLF */
    FIXED_SIZE = 16,     /* of version 2: signature, command, family, size */
    COMMAND_AT = 12,
    FAMILY_AT = 13,
    SIZE_AT = 14,
    IN_SIZE = 12, /* two addresses and two ports */
    IN6_SIZE = 36,
    UNIX_SIZE = 216,
};

_Static_assert(WEFT_PROXY_CLIENT_SIZE >= INET6_ADDRSTRLEN, "a client's address fits");

/* What data[0, size) has of the beginning `wanted`: is it the same? */
static bool begins_like(const char *data, size_t size, const char *wanted, size_t wanted_size)
{
    return memcmp(data, wanted, size < wanted_size ? size : wanted_size) == 0;
}

static void write_in(weft_proxy_header *header, const void *address)
{
    inet_ntop(AF_INET, address, header->client, sizeof header->client);
}

/* An IPv4 address within an IPv6 one is shown as what it is, as those of connections are. */
static void write_in6(weft_proxy_header *header, const void *address)
{
    struct in6_addr in6;
    memcpy(&in6, address, sizeof in6);
    if (IN6_IS_ADDR_V4MAPPED(&in6))
        write_in(header, &in6.s6_addr[12]);
    else
        inet_ntop(AF_INET6, &in6, header->client, sizeof header->client);
}

/* ---- version 1 ---- */

/* Cuts the next word off the front of *line, which holds no NUL: up to a space, or, if it is the last, all that is left. */
static bool cut_word(char **line, char **ret_word, bool is_last)
{
    char *space = strchr(*line, ' ');
    if (is_last ? space != NULL : space == NULL)
        return false;
    *ret_word = *line;
    if (space) {
        *space = '\0';
        *line = space + 1;
    }
    return **ret_word != '\0';
}

static bool is_port(const char *text)
{
    unsigned port = 0;
    size_t size = strlen(text);
    if (size > 5 || (text[0] == '0' && size > 1))
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        port = port * 10 + (unsigned)(*text - '0');
    }
    return port <= 65535;
}

/* What follows "PROXY TCP4 " or "PROXY TCP6 ". */
static bool read_addresses(weft_proxy_header *header, char *line, int family)
{
    unsigned char from[sizeof(struct in6_addr)], to[sizeof(struct in6_addr)];
    char *source, *destination, *source_port, *destination_port;
    if (!cut_word(&line, &source, false) || !cut_word(&line, &destination, false) || !cut_word(&line, &source_port, false) ||
        !cut_word(&line, &destination_port, true))
        return false;
    if (inet_pton(family, source, from) != 1 || inet_pton(family, destination, to) != 1 || !is_port(source_port) ||
        !is_port(destination_port))
        return false;
    if (family == AF_INET)
        write_in(header, from);
    else
        write_in6(header, from);
    return true;
}

static int64_t read_line(weft_proxy_header *header, const char *data, size_t size)
{
    static const char beginning[] = "PROXY ";
    char line[LINE_MAX_SIZE + 1];
    size_t most = size < LINE_MAX_SIZE ? size : LINE_MAX_SIZE;
    if (!begins_like(data, size, beginning, sizeof beginning - 1))
        return -400;
    const char *end = memchr(data, '\r', most);
    if (memchr(data, '\n', end ? (size_t)(end - data) : most))
        return -400;
    if (!end)
        return most == LINE_MAX_SIZE ? -400 : 0;
    size_t length = (size_t)(end - data);
    if (length + 2 > LINE_MAX_SIZE || (length + 2 <= size && end[1] != '\n'))
        return -400;
    if (length + 2 > size)
        return 0;
    memcpy(line, data, length);
    line[length] = '\0';
    char *rest = line + sizeof beginning - 1;
    if (strlen(line) != length)
        return -400;
    if (strncmp(rest, "TCP4 ", 5) == 0 || strncmp(rest, "TCP6 ", 5) == 0) {
        if (!read_addresses(header, rest + 5, rest[3] == '4' ? AF_INET : AF_INET6))
            return -400;
    } else if (strcmp(rest, "UNKNOWN") != 0 && strncmp(rest, "UNKNOWN ", 8) != 0) {
        return -400; /* whatever follows UNKNOWN is to be ignored */
    }
    return (int64_t)length + 2;
}

/* ---- version 2 ---- */

/* The high half is the family, the low one the kind of socket. False if that is not specified, or if `size` bytes cannot hold
 * its addresses. */
static bool read_family(weft_proxy_header *header, unsigned char byte, const char *addresses, size_t size)
{
    enum { UNSPECIFIED, IN, IN6, UNIX };
    enum { NO_KIND, STREAM, DATAGRAM };
    static const uint16_t sizes[] = { [UNSPECIFIED] = 0, [IN] = IN_SIZE, [IN6] = IN6_SIZE, [UNIX] = UNIX_SIZE };
    unsigned family = byte >> 4, kind = byte & 15;
    if (family > UNIX || kind > DATAGRAM || size < sizes[family])
        return false;
    if (kind != STREAM)
        return true;
    if (family == IN)
        write_in(header, addresses);
    else if (family == IN6)
        write_in6(header, addresses);
    else if (family == UNIX)
        memcpy(header->client, "unix", sizeof "unix");
    return true;
}

static size_t declared_size(const char *data)
{
    const unsigned char *bytes = (const unsigned char *)data;
    return FIXED_SIZE + ((size_t)bytes[SIZE_AT] << 8 | bytes[SIZE_AT + 1]);
}

static int64_t read_binary(weft_proxy_header *header, const char *data, size_t size, size_t limit)
{
    static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
    enum { VERSION_2_LOCAL = 0x20, VERSION_2_PROXY = 0x21 };
    if (!begins_like(data, size, signature, sizeof signature - 1))
        return -400;
    const unsigned char *bytes = (const unsigned char *)data;
    if (size > COMMAND_AT && bytes[COMMAND_AT] != VERSION_2_LOCAL && bytes[COMMAND_AT] != VERSION_2_PROXY)
        return -400;
    if (size < FIXED_SIZE)
        return 0;
    size_t whole = declared_size(data);
    if (whole > limit)
        return -400;
    if (size < whole)
        return 0;
    if (bytes[COMMAND_AT] == VERSION_2_PROXY && !read_family(header, bytes[FAMILY_AT], data + FIXED_SIZE, whole - FIXED_SIZE))
        return -400;
    return (int64_t)whole;
}

bool weft_proxy_is_too_large(const char *data, size_t size, size_t limit)
{
    weft_proxy_header header;
    return size >= FIXED_SIZE && data[0] == '\r' && declared_size(data) > limit &&
           read_binary(&header, data, FIXED_SIZE, SIZE_MAX) == 0;
}

int64_t weft_proxy_read(weft_proxy_header *ret_header, const char *data, size_t size, size_t limit)
{
    DCHECK(limit >= FIXED_SIZE);
    ret_header->client[0] = '\0';
    if (size == 0)
        return 0;
    return data[0] == 'P' ? read_line(ret_header, data, size) : read_binary(ret_header, data, size, limit);
}
