/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Byte streams: a TCP connection, a unix socket, or a pair in memory, with the same calls.
 *
 *     weft_stream *s;
 *     WEFT_TRY(weft_connect(&s, "127.0.0.1:8080"));
 *     rc = weft_stream_write(s, "hello\n", 6);
 *     while (rc >= 0 && (n = weft_stream_read(s, buf, sizeof buf)) > 0) ...
 *     weft_stream_close(s);
 *
 * A stream belongs to the loop on which it was made. One task may read while another writes; two readers, or two writers,
 * at once are refused with -EBUSY. A read that is cut short loses no byte: what was not read can be read later. A write that
 * is cut short may have sent a part, and what it had begun to send (at most 64 KiB) still goes. Peers are told apart by their
 * ends: 0 is an orderly end, -ECONNRESET is not.
 *
 * Up to 64 KiB are read ahead; then the peer has to wait. Every stream must be closed; using one afterwards is misuse.
 */
#ifndef WEFT_STREAM_H
#define WEFT_STREAM_H

#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_stream weft_stream;

/* May wait. Connects to "example.org:80", "127.0.0.1:80", "localhost:80" (the same), "[::1]:80" or "unix:/path". A host's name
 * is looked up by the system's resolver, in a thread, and its addresses (8 at most) are tried one after the other, in the
 * resolver's order. Returns 0 with *ret_stream set, -EINVAL for an address it cannot read (and for ":80" or port 0, which are
 * no place, and for a name with other than letters, digits, '-', '_' and dots, or that ends in a number), WEFT_ENAME for a name
 * without an address, -ECONNREFUSED and the like (of the last address), -EAGAIN for a unix socket whose queue is full, -ENOMEM,
 * or the reason. There is no limit of time but that of the scope around it. */
#define weft_connect(ret_stream, address) weft_connect_((ret_stream), (address), __FILE__, __LINE__)
WEFT_API WEFT_WAITS int weft_connect_(weft_stream **ret_stream, const char *address, const char *file, int line);

/* Two connected ends in memory; each holds up to `capacity` bytes (1 to 16 MiB; 0 is 64 KiB) for its reader, besides those read
 * ahead. 0, -EINVAL, or -ENOMEM. Outside a loop: misuse, -EPERM. */
#define weft_stream_pair(ret_a, ret_b, capacity) weft_stream_pair_((ret_a), (ret_b), (capacity), __FILE__, __LINE__)
WEFT_API WEFT_MUST int weft_stream_pair_(weft_stream **ret_a, weft_stream **ret_b, size_t capacity, const char *file, int line);

/* May wait. Reads what is there, at least one byte, at most `size`. Returns the count, 0 at the end of input (again and again),
 * or < 0: -ECONNRESET (likewise), WEFT_ECLOSED after weft_stream_close by another task, -EBUSY, -EINVAL for a size of 0, the
 * reason. */
WEFT_API WEFT_WAITS int64_t weft_stream_read(weft_stream *s, void *buf, size_t size);

/* May wait. The next line, ended by "\n" or the end of input: 1 with *ret_line set (its end is left out, a NUL follows) until
 * the next weft_stream_line on the stream; 0 at the end of input; -EMSGSIZE more than `limit` bytes (0, and what is more than
 * that: 64 KiB less one) have come without an end; errors as weft_stream_read. Unless it returns 1 nothing has been taken. */
WEFT_API WEFT_WAITS int weft_stream_line(weft_stream *s, weft_bytes *ret_line, size_t limit);

/* May wait. Writes all of it, waiting while the peer is slow: when it returns 0 the kernel (or the pair) has taken the last
 * byte, so that weft_stream_close loses nothing. Returns 0, or < 0: -EPIPE, -ECONNRESET, WEFT_ECLOSED, -EBUSY, -ENOMEM, the
 * reason. The data is borrowed until it returns. A write of 0 bytes waits for what a cut write has left. */
WEFT_API WEFT_WAITS int weft_stream_write(weft_stream *s, const void *data, size_t size);

/* Ends our direction after what has been written; reading goes on. Never waits. 0, or -ENOTCONN. */
WEFT_API int weft_stream_shutdown(weft_stream *s);

/* Closes and frees it; tasks that wait on it get WEFT_ECLOSED. Never waits. What was written still goes, except for what a
 * cut write has left; input that was not read is lost, and the peer of a tcp stream then sees a reset. NULL is fine. */
WEFT_API void weft_stream_close(weft_stream *s);

/* weft_stream_close for __attribute__((cleanup(weft_stream_drop))). */
WEFT_API void weft_stream_drop(weft_stream **s);

#ifdef __cplusplus
}
#endif
#endif
