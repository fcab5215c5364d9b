/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Outboxes. What must hold of an open one that has not failed:
 *
 *     blocked        the transport has something queued (most often our loan), and will say `drained`; not in a list
 *     not blocked    nothing of ours is with the transport; in the list of dirty ones exactly while it has references
 *
 * A turn's flush takes a slice of the dirty ones, SLICE_COUNT or SLICE_TIME (a write costs 4 to 7 us, so 10,000 take 45 ms):
 * the others follow in the next turns, and between two slices input is read and tasks run. An outbox is flushed once a turn,
 * by one write of at most PARTS buffers; a peer that reads as fast as we write comes again in the next.
 *
 * Lending the rest of the cut buffer costs 64 bytes from a slab while the peer does not read. A queued copy, which says
 * `drained` too, would cost a block of 16 KiB: 160 MB for 10,000 peers that have stopped to read.
 */
#include "lib/net/outbox.h"

#include <errno.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/base/sanitize.h"
#include "lib/base/slab.h"
#include "lib/net/net.h"

#define SHARED_MAGIC 0x5ba4edb0u

enum {
    PARTS = 128, /* buffers of one write */
    SLICE_COUNT = 1024,
    CLOCK_EVERY = 16, /* writes between two looks at the clock */
    REFS_PER_CHUNK = 1024,
    LOANS_PER_CHUNK = 16,
    SMALL_SIZE = 256, /* of a buffer that is kept, with its head */
    SMALL_KEPT = 64,
};

static const weft_duration SLICE_TIME = WEFT_MILLISECOND;

struct weft_outbox_ref {
    struct weft_outbox_ref *next;
    weft_shared *buf;
};

struct weft_outbox_loan {
    weft_transport_loan loan;
    weft_outbox *owner; /* NULL once it is closed */
    weft_shared *buf;
    struct weft_outboxes *all;
};

struct weft_outboxes {
    weft_loop *loop;
    weft_list dirty;
    weft_callback flush;
    weft_slab refs, loans;
    weft_shared *small; /* kept, linked by their first word */
    unsigned small_count;
};

/* ---- buffers ---- */

/* Of the thread's loop; NULL if it has none. A buffer belongs to one thread, so it is given back to where it came from, or to
 * the heap when the loop's part has been closed. */
static struct weft_outboxes *all_here(void)
{
    const weft_net *net = weft_here ? weft_here->net : NULL;
    return net ? net->outboxes : NULL;
}

static bool is_small(size_t size)
{
    return size <= SMALL_SIZE - sizeof(weft_shared);
}

/* A malloc and its free are 230 instructions, of the 2,300 of an echo of 64 bytes. */
static weft_shared *take_small(void)
{
    struct weft_outboxes *all = all_here();
    if (!all || !all->small)
        return weft_mem_alloc(SMALL_SIZE);
    weft_shared *buf = all->small;
    all->small = *(weft_shared **)(void *)buf;
    all->small_count--;
    SANITIZE_UNPOISON(buf, SMALL_SIZE);
    return buf;
}

static void give_small(weft_shared *buf)
{
    struct weft_outboxes *all = all_here();
    if (!all || all->small_count == SMALL_KEPT) {
        weft_mem_free(buf);
        return;
    }
    *(weft_shared **)(void *)buf = all->small;
    all->small = buf;
    all->small_count++;
    SANITIZE_POISON((char *)buf + sizeof(void *), SMALL_SIZE - sizeof(void *));
}

weft_shared *weft_shared_new(size_t size)
{
    CHECK(size > 0);
    weft_shared *buf = is_small(size)                   ? take_small()
                       : size <= SIZE_MAX - sizeof *buf ? weft_mem_alloc(sizeof *buf + size)
                                                        : NULL;
    if (buf)
        *buf = (weft_shared){ .magic = SHARED_MAGIC, .refs = 1, .count = 1, .size = size };
    return buf;
}

void weft_shared_unref(weft_shared *buf)
{
    if (!buf)
        return;
    IS_A(buf, SHARED_MAGIC);
    if (--buf->refs > 0)
        return;
    buf->magic = 0;
    if (is_small(buf->size))
        give_small(buf);
    else
        weft_mem_free(buf);
}

/* ---- references ---- */

static struct weft_outboxes *all_of(const weft_outbox *o)
{
    return weft_net_of(o->transport->loop)->outboxes;
}

static void mark_dirty(weft_outbox *o)
{
    if (o->is_blocked || !weft_list_is_empty(&o->dirty))
        return;
    struct weft_outboxes *all = all_of(o);
    if (weft_list_is_empty(&all->dirty))
        weft_callback_soon(all->loop, &all->flush);
    weft_list_append(&all->dirty, &o->dirty);
}

/* Takes out the reference behind `before` (NULL for the first); the buffer's reference is the caller's. */
static weft_shared *unlink_ref(weft_outbox *o, struct weft_outbox_ref *before)
{
    struct weft_outbox_ref **at = before ? &before->next : &o->first, *ref = *at;
    weft_shared *buf = ref->buf;
    *at = ref->next;
    if (o->last == ref)
        o->last = before;
    weft_slab_give(&all_of(o)->refs, ref);
    return buf;
}

static void drop_ref(weft_outbox *o, struct weft_outbox_ref *before)
{
    weft_shared *buf = unlink_ref(o, before);
    o->size -= buf->size;
    o->count -= buf->count;
    weft_shared_unref(buf);
}

/* The last reference that has begun to leave, behind which others may be put and dropped; NULL for none. */
static struct weft_outbox_ref *begun(const weft_outbox *o)
{
    return o->sent > 0 || o->is_begun ? o->first : NULL;
}

static void forget_first(weft_outbox *o)
{
    o->sent = 0;
    o->is_begun = false;
}

static void drop_all(weft_outbox *o)
{
    while (o->first)
        weft_shared_unref(unlink_ref(o, NULL));
    forget_first(o);
    o->size = o->count = 0;
    if (o->loan)
        o->loan->owner = NULL;
    o->loan = NULL;
    weft_list_remove(&o->dirty);
}

static int fail(weft_outbox *o, int error)
{
    drop_all(o);
    o->error = error;
    return error;
}

/* ---- flushing ---- */

static void on_returned(weft_transport_loan *lent)
{
    struct weft_outbox_loan *loan = CONTAINER_OF(lent, struct weft_outbox_loan, loan);
    weft_outbox *o = loan->owner;
    if (o) {
        o->loan = NULL;
        o->size -= lent->part.iov_len;
        o->count -= loan->buf->count;
    }
    weft_shared_unref(loan->buf);
    weft_slab_give(&loan->all->loans, loan);
}

/* The transport takes no more now: lends it the rest of the first buffer, so that it says when it does. */
static int block(weft_outbox *o)
{
    o->is_blocked = true;
    if (o->transport->queued > 0)
        return 0;
    struct weft_outboxes *all = all_of(o);
    struct weft_outbox_loan *loan = weft_slab_take(&all->loans);
    if (!loan)
        return fail(o, -ENOMEM);
    weft_shared *buf = unlink_ref(o, NULL);
    loan->loan.part = (struct iovec){ buf->data + o->sent, buf->size - o->sent };
    loan->loan.returned = on_returned;
    loan->owner = o;
    loan->buf = buf;
    loan->all = all;
    o->loan = loan;
    forget_first(o);
    int rc = weft_transport_lend(o->transport, &loan->loan);
    if (rc == 0)
        return 0;
    fail(o, rc);
    weft_shared_unref(buf);
    weft_slab_give(&all->loans, loan);
    return rc;
}

/* `size` bytes have gone. */
static void take(weft_outbox *o, size_t size)
{
    o->size -= size;
    while (o->first && size >= o->first->buf->size - o->sent) {
        size -= o->first->buf->size - o->sent;
        forget_first(o);
        o->count -= o->first->buf->count;
        weft_shared_unref(unlink_ref(o, NULL));
    }
    o->sent += size;
}

/* One write. */
static int flush(weft_outbox *o)
{
    if (!o->first || o->is_blocked)
        return o->error;
    struct iovec parts[PARTS];
    size_t offered = 0, skip = o->sent;
    int count = 0;
    for (struct weft_outbox_ref *ref = o->first; ref && count < PARTS; ref = ref->next) {
        parts[count].iov_base = ref->buf->data + skip;
        parts[count].iov_len = ref->buf->size - skip;
        offered += parts[count++].iov_len;
        skip = 0;
    }
    int64_t sent = weft_transport_try_send(o->transport, parts, count);
    if (sent < 0 && sent != -EAGAIN)
        return fail(o, (int)sent);
    if (sent > 0)
        take(o, (size_t)sent);
    return sent == -EAGAIN || (size_t)sent < offered ? block(o) : 0;
}

/* The last act in a turn with an outbox, which may be gone afterwards. */
static void say_low(weft_outbox *o)
{
    if (!o->is_high || o->size > o->rules->size_high / 2 || o->count > o->rules->count_high / 2)
        return;
    o->is_high = false;
    if (o->rules->low)
        o->rules->low(o);
}

static void flush_slice(weft_callback *callback)
{
    struct weft_outboxes *all = CONTAINER_OF(callback, struct weft_outboxes, flush);
    bool is_virtual = all->loop->test && all->loop->test->is_virtual;
    weft_duration end = is_virtual ? 0 : weft_clock_monotonic() + SLICE_TIME;
    weft_list again;
    weft_list_init(&again);
    for (int n = 1; n <= SLICE_COUNT; n++) {
        weft_list *node = weft_list_shift(&all->dirty);
        if (!node)
            break;
        weft_outbox *o = CONTAINER_OF(node, weft_outbox, dirty);
        int rc = flush(o);
        if (rc < 0) {
            o->rules->failed(o, rc);
        } else {
            if (o->first && !o->is_blocked)
                weft_list_append(&again, &o->dirty);
            say_low(o);
        }
        if (n % CLOCK_EVERY == 0 && !is_virtual && weft_clock_monotonic() >= end)
            break;
    }
    weft_list_append_all(&all->dirty, &again);
    if (!weft_list_is_empty(&all->dirty))
        weft_callback_soon(all->loop, &all->flush);
}

/* ---- opening and closing ---- */

static struct weft_outboxes *make_all(weft_loop *loop)
{
    struct weft_outboxes *all = weft_mem_alloc(sizeof *all);
    if (!all)
        return NULL;
    all->loop = loop;
    all->small = NULL;
    all->small_count = 0;
    weft_list_init(&all->dirty);
    weft_callback_init(&all->flush, flush_slice);
    weft_slab_init(&all->refs, sizeof(struct weft_outbox_ref), REFS_PER_CHUNK);
    weft_slab_init(&all->loans, sizeof(struct weft_outbox_loan), LOANS_PER_CHUNK);
    return all;
}

void weft_outboxes_close(struct weft_outboxes *all)
{
    if (!all)
        return;
    CHECK(weft_list_is_empty(&all->dirty)); /* each outbox has been closed */
    weft_callback_clear(&all->flush);
    weft_slab_close(&all->refs);
    weft_slab_close(&all->loans);
    for (weft_shared *small; (small = all->small);) {
        all->small = *(weft_shared **)(void *)small;
        weft_mem_free(small);
    }
    weft_mem_free(all);
}

int weft_outbox_open(weft_outbox *o, weft_transport *transport, const weft_outbox_rules *rules)
{
    *o = (weft_outbox){ .error = WEFT_ECLOSED };
    weft_list_init(&o->dirty);
    weft_net *net = weft_net_of(transport->loop);
    if (!net)
        return -ENOMEM;
    if (!net->outboxes && !(net->outboxes = make_all(transport->loop)))
        return -ENOMEM;
    o->transport = transport;
    o->rules = rules;
    o->error = 0;
    return 0;
}

void weft_outbox_close(weft_outbox *o)
{
    if (!o->transport)
        return;
    fail(o, WEFT_ECLOSED);
    o->transport = NULL;
}

/* ---- putting in ---- */

static bool has_room(const weft_outbox *o, uint32_t count, size_t size)
{
    const weft_outbox_rules *rules = o->rules;
    return o->count == 0 ||
           (o->count + count <= rules->count_most && o->size < rules->size_most && size <= rules->size_most - o->size);
}

/* Behind `before`; NULL for the front. */
static int put(weft_outbox *o, weft_shared *buf, struct weft_outbox_ref *before)
{
    struct weft_outbox_ref *ref = weft_slab_take(&all_of(o)->refs);
    if (!ref)
        return -ENOMEM;
    struct weft_outbox_ref **at = before ? &before->next : &o->first;
    ref->buf = weft_shared_ref(buf);
    ref->next = *at;
    *at = ref;
    if (o->last == before)
        o->last = ref;
    o->size += buf->size;
    o->count += buf->count;
    if (o->size >= o->rules->size_high || o->count >= o->rules->count_high)
        o->is_high = true;
    return 0;
}

int weft_outbox_append(weft_outbox *o, weft_shared *buf)
{
    if (o->error)
        return o->error;
    if (UNLIKELY(!has_room(o, buf->count, buf->size)))
        return -ENOBUFS;
    int rc = put(o, buf, o->last);
    if (rc == 0)
        mark_dirty(o);
    return rc;
}

int weft_outbox_append_front(weft_outbox *o, weft_shared *buf)
{
    if (o->error)
        return o->error;
    int rc = put(o, buf, begun(o));
    if (rc == 0)
        mark_dirty(o);
    return rc;
}

static weft_shared *copy_of(const struct iovec *parts, int count, size_t skip, size_t size)
{
    weft_shared *buf = weft_shared_new(size);
    if (!buf)
        return NULL;
    char *at = buf->data;
    for (int i = 0; i < count; i++) {
        if (skip >= parts[i].iov_len) {
            skip -= parts[i].iov_len;
            continue;
        }
        memcpy(at, (const char *)parts[i].iov_base + skip, parts[i].iov_len - skip);
        at += parts[i].iov_len - skip;
        skip = 0;
    }
    return buf;
}

int weft_outbox_send(weft_outbox *o, const struct iovec *parts, int count)
{
    if (o->error)
        return o->error;
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    bool is_first = o->count == 0 && !o->is_blocked;
    int64_t sent = is_first ? weft_transport_try_send(o->transport, parts, count) : 0;
    if (sent == -EAGAIN)
        sent = 0;
    if (sent < 0)
        return fail(o, (int)sent);
    if ((size_t)sent == size)
        return 0;
    if (!has_room(o, 1, size - (size_t)sent))
        return -ENOBUFS;
    weft_shared *rest = copy_of(parts, count, (size_t)sent, size - (size_t)sent);
    int rc = rest ? put(o, rest, o->last) : -ENOMEM;
    weft_shared_unref(rest);
    if (rc < 0)
        return sent > 0 ? fail(o, rc) : rc;
    if (!is_first) {
        mark_dirty(o);
        return 0;
    }
    o->is_begun = sent > 0;
    return block(o);
}

/* ---- and out ---- */

int weft_outbox_flush(weft_outbox *o)
{
    int rc = flush(o);
    if (rc == 0 && !o->error && (!o->first || o->is_blocked))
        weft_list_remove(&o->dirty);
    return rc;
}

int weft_outbox_hand_over(weft_outbox *o)
{
    int rc = weft_outbox_flush(o);
    while (rc == 0 && o->first) {
        weft_shared *buf = o->first->buf;
        rc = weft_transport_queue(o->transport, &(struct iovec){ buf->data, buf->size }, 1, o->sent);
        if (rc < 0)
            return fail(o, rc);
        o->is_blocked = true;
        take(o, buf->size - o->sent);
    }
    weft_list_remove(&o->dirty);
    return rc;
}

bool weft_outbox_drop_oldest(weft_outbox *o)
{
    struct weft_outbox_ref *before = begun(o);
    for (struct weft_outbox_ref *ref = before ? before->next : o->first; ref; before = ref, ref = ref->next)
        if (ref->buf->may_drop) {
            drop_ref(o, before);
            return true;
        }
    return false;
}

int weft_outbox_drop_key(weft_outbox *o, uint64_t key)
{
    int dropped = 0;
    struct weft_outbox_ref *before = begun(o), *ref = before ? before->next : o->first;
    while (ref) {
        struct weft_outbox_ref *next = ref->next;
        if (ref->buf->key == key && key) {
            drop_ref(o, before);
            dropped++;
        } else {
            before = ref;
        }
        ref = next;
    }
    return dropped;
}

void weft_outbox_drop_waiting(weft_outbox *o)
{
    struct weft_outbox_ref *before = begun(o);
    while (before ? before->next : o->first)
        drop_ref(o, before);
}

void weft_outbox_on_drained(weft_outbox *o, int error)
{
    if (o->error)
        return;
    if (error < 0) {
        o->rules->failed(o, fail(o, error));
        return;
    }
    o->is_blocked = false;
    if (o->first)
        mark_dirty(o);
    say_low(o);
}
