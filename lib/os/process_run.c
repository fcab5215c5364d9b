/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * A program run to its end: a task feeds it, one collects its output and one its errors, so that it never stands still because
 * nobody reads. Whatever goes wrong, the child has ended before the call returns.
 */
#include <weft/process.h>

#include <errno.h>
#include <string.h>

#include "lib/base/memory.h"

enum { ROOM_MIN = 4096 };

static const size_t LIMIT_DEFAULT = 16 * 1024 * 1024;

struct feed {
    weft_process *p;
    weft_bytes input;
};

struct collection {
    weft_stream *from; /* NULL: of nothing */
    char *data;
    size_t size, room, limit;
};

/* The input ends however this ends, lest the child wait for more. That the child has had enough is no error. */
static int feed_input(void *arg)
{
    const struct feed *feed = arg;
    int rc = weft_stream_write(weft_process_input(feed->p), feed->input.data, feed->input.size);
    weft_process_end_input(feed->p);
    return rc == -EPIPE || rc == -ECONNRESET ? 0 : rc;
}

/* Room for some more, up to the limit and a byte behind it, and a NUL. */
static int make_room(struct collection *c)
{
    if (c->size + 1 < c->room)
        return 0;
    size_t room = c->room == 0 ? ROOM_MIN : c->room * 2;
    if (room > c->limit + 2)
        room = c->limit + 2;
    char *grown = weft_mem_realloc(c->data, room);
    if (!grown)
        return -ENOMEM;
    c->data = grown;
    c->room = room;
    return 0;
}

static int collect(void *arg)
{
    struct collection *c = arg;
    int64_t n;
    do {
        WEFT_TRY(make_room(c));
        n = weft_stream_read(c->from, c->data + c->size, c->room - c->size - 1);
        c->size += n > 0 ? (size_t)n : 0;
        if (c->size > c->limit)
            return -EFBIG;
    } while (n > 0);
    c->data[c->size] = '\0';
    return (int)n;
}

/* Until both outputs are closed and the child has ended; what of the input is then left nobody wants. */
static int talk(weft_process *p, struct feed *feed, struct collection both[2], weft_process_status *status)
{
    int rc = 0;
    WEFT_GROUP (feeding) {
        weft_go(&feeding, feed_input, feed);
        WEFT_GROUP (reading) {
            for (int i = 0; i < 2; i++)
                if (both[i].from)
                    weft_go(&reading, collect, &both[i]);
        }
        rc = reading.result;
        if (rc == 0)
            rc = weft_process_wait(p, status);
        break;
    }
    return feeding.result < 0 ? feeding.result : rc;
}

static int run(weft_process *p, const weft_process_run_options *o, weft_process_result *ret)
{
    size_t limit = o->limit ? o->limit : LIMIT_DEFAULT;
    if (limit > SIZE_MAX / 4)
        limit = SIZE_MAX / 4;
    struct feed feed = { .p = p, .input = o->input };
    struct collection both[2] = { { .from = weft_process_output(p), .limit = limit },
                                  { .from = weft_process_errors(p), .limit = limit } };
    weft_process_status status = { 0 };
    int rc = 0;
    WEFT_TIMEOUT (limited, o->timeout ? o->timeout : WEFT_NO_LIMIT) {
        rc = talk(p, &feed, both, &status);
    }
    *ret = (weft_process_result){
        .status = status,
        .output = { .data = both[0].data, .size = both[0].size },
        .errors = { .data = both[1].data, .size = both[1].size },
    };
    if (rc < 0)
        weft_process_result_drop(ret);
    return rc;
}

int weft_process_run_(weft_process_result *ret, const char *const *argv, const weft_process_run_options *given)
{
    weft_process_run_options o = { 0 };
    memcpy(&o, given, given->struct_size < sizeof o ? given->struct_size : sizeof o);
    weft_process *p;
    *ret = (weft_process_result){ 0 };
    WEFT_TRY(weft_process_open(&p, argv, .environment = o.environment, .folder = o.folder, .grace = o.grace, .own_group = true,
                               .input = WEFT_IO_PIPE, .output = WEFT_IO_PIPE,
                               .errors = o.joins_errors ? WEFT_IO_OUTPUT : WEFT_IO_PIPE));
    int rc = run(p, &o, ret);
    weft_process_close(p);
    return rc;
}

void weft_process_result_drop(weft_process_result *result)
{
    weft_bytes_drop(&result->output);
    weft_bytes_drop(&result->errors);
    *result = (weft_process_result){ 0 };
}
