/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Slots, each with room for one resource, of which as many are in use as resources may be open. A slot is in one hand at a
 * time:
 *
 *     FREE ───> TAKEN <──> OUT          TAKEN: by a task that opens, checks or closes what is in it, or is about to;
 *       └─────────┘ └<──> IDLE          OUT: lent to the user
 *
 * Tasks wait in the line only while no slot is free or idle. `pass_on` is what ends all that is done with a slot: it hands it,
 * with or without a resource, to the first in the line, in the act that serves it; so nobody comes in between, and one who is
 * served and finds the slot empty opens a resource itself, under its own deadlines.
 *
 * The pool is given back by whoever frees the last slot once it is being closed: its closer, or the last release.
 */
#include <weft/pool.h>

#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/task/debug.h"

#define POOL_MAGIC 0x9001c0deu

enum { LIMIT = 10, LIMIT_MAX = 65536, RESOURCE_MAX = 65536 };

static const weft_duration IDLE_TIMEOUT = 5 * WEFT_MINUTE, LATER = WEFT_SECOND;

enum slot_state { FREE, TAKEN, OUT, IDLE };

struct slot {
    uint8_t state;
    bool is_open;   /* there is a resource in it */
    bool was_idle;  /* taken from the idle ones */
    weft_list link; /* in the pool's list of its state, if FREE or IDLE */
    weft_duration opened_at, idle_since;
    alignas(16) char resource[];
};

struct weft_pool {
    unsigned magic;
    bool is_closing, is_abandoned; /* abandoned: nobody waits for its end */
    bool is_tidying;               /* a task of its own closes idle ones */
    size_t used, idle_count, waiting_count;
    weft_pool_open_fn *open;
    weft_pool_close_fn *close;
    weft_pool_options options;
    size_t size, slot_size; /* of a resource; of a slot */
    weft_list free, idle;   /* slots; the latest first */
    weft_list line, closer; /* waiters; at most one closer */
    weft_timer timer;       /* of the longest idle */
    alignas(16) char slots[];
};

/* ---- slots ---- */

static const bool legal_moves[][IDLE + 1] = {
    [FREE] = { [TAKEN] = true },
    [TAKEN] = { [FREE] = true, [OUT] = true, [IDLE] = true },
    [OUT] = { [TAKEN] = true },
    [IDLE] = { [TAKEN] = true },
};

static void set_state(struct slot *slot, enum slot_state state)
{
    CHECK(legal_moves[slot->state][state]);
    slot->state = (uint8_t)state;
}

static struct slot *first_slot(const weft_list *list)
{
    return weft_list_is_empty(list) ? NULL : CONTAINER_OF(list->next, struct slot, link);
}

static struct slot *last_slot(const weft_list *list)
{
    return weft_list_is_empty(list) ? NULL : CONTAINER_OF(list->prev, struct slot, link);
}

static weft_duration now(void)
{
    return weft_loop_recent(weft_here);
}

static bool has_passed(weft_duration since, weft_duration limit)
{
    return limit != WEFT_NO_LIMIT && now() - since >= limit;
}

static struct slot *take_idle(weft_pool *p, struct slot *slot)
{
    weft_list_remove(&slot->link);
    p->idle_count--;
    set_state(slot, TAKEN);
    slot->was_idle = true;
    return slot;
}

/* An idle one, else a free one; NULL if there is none. */
static struct slot *take_slot(weft_pool *p)
{
    struct slot *slot = first_slot(&p->idle);
    if (slot)
        return take_idle(p, slot);
    slot = first_slot(&p->free);
    if (!slot)
        return NULL;
    weft_list_remove(&slot->link);
    p->used++;
    set_state(slot, TAKEN);
    return slot;
}

static void close_resource(weft_pool *p, struct slot *slot)
{
    WEFT_SHIELD (shield, WEFT_CLEANUP_TIME) {
        p->close(slot->resource, p->options.arg);
    }
    slot->is_open = false;
}

static void free_if_over(weft_pool *p)
{
    if (!p->is_closing || p->used > 0 || p->is_tidying)
        return;
    if (p->is_abandoned) {
        p->magic = 0;
        weft_mem_free(p);
        return;
    }
    weft_waiter_serve_all(&p->closer, 0);
}

static void arm(weft_pool *p)
{
    const struct slot *oldest = last_slot(&p->idle);
    bool is_needed = oldest && !p->is_closing && !p->is_tidying && p->used > p->options.minimum;
    if (is_needed && p->options.idle_timeout != WEFT_NO_LIMIT && !weft_timer_is_set(&p->timer))
        weft_timer_set(&weft_here->wheel, &p->timer, weft_tick_of(weft_clock_add(oldest->idle_since, p->options.idle_timeout)));
}

/* The end of what a task does with a taken slot. The pool may be gone afterwards. */
static void pass_on(weft_pool *p, struct slot *slot)
{
    if (p->is_closing && slot->is_open)
        close_resource(p, slot);
    weft_waiter *first = weft_waiter_first(&p->line);
    slot->was_idle = false;
    if (first) {
        first->item = slot;
        weft_waiter_serve(first, 0);
    } else if (slot->is_open) {
        set_state(slot, IDLE);
        slot->idle_since = now();
        weft_list_prepend(&p->idle, &slot->link);
        p->idle_count++;
        arm(p);
    } else {
        set_state(slot, FREE);
        weft_list_prepend(&p->free, &slot->link);
        p->used--;
        free_if_over(p);
    }
}

/* ---- acquiring ---- */

/* Can what is in it be lent? It may wait. */
static bool is_good(weft_pool *p, struct slot *slot)
{
    const weft_pool_options *options = &p->options;
    if (options->lifetime > 0 && has_passed(slot->opened_at, options->lifetime))
        return false;
    if (!slot->was_idle)
        return true;
    if (has_passed(slot->idle_since, options->idle_timeout))
        return false;
    bool is_due = options->check && has_passed(slot->idle_since, options->check_after);
    return !is_due || options->check(slot->resource, options->arg) >= 0;
}

/* Sees to it that there is a good resource in a taken slot. */
static int prepare(weft_pool *p, struct slot *slot)
{
    const weft_task *t = weft_here->current;
    if (slot->is_open && !is_good(p, slot))
        close_resource(p, slot);
    if (slot->is_open)
        return 0;
    if (t->reason)
        return t->reason;
    if (p->is_closing)
        return WEFT_ECLOSED;
    int rc = p->open(slot->resource, p->options.arg);
    if (rc < 0)
        return rc;
    slot->is_open = true;
    slot->opened_at = now();
    return 0;
}

struct acquirer {
    weft_wait wait;
    weft_waiter waiter;
    weft_pool *pool;
};

static void withdraw(weft_wait *wait)
{
    struct acquirer *acquirer = CONTAINER_OF(wait, struct acquirer, wait);
    weft_list_remove(&acquirer->waiter.link);
    acquirer->pool->waiting_count--;
}

static void describe(const weft_wait *wait, FILE *out)
{
    const weft_pool *p = wait->on;
    fprintf(out, ", %zu of %zu are in use", p->used, p->options.limit);
}

/* Waits in the line for a slot: 0 with *ret_slot, or why not. */
static int wait_for_slot(weft_pool *p, const void *place, struct slot **ret_slot)
{
    struct acquirer acquirer = { .wait = WEFT_WAIT("pool", p, withdraw), .pool = p };
    acquirer.wait.place = place;
    acquirer.wait.describe = describe;
    acquirer.waiter.wait = &acquirer.wait;
    weft_list_append(&p->line, &acquirer.waiter.link);
    p->waiting_count++;
    int rc = weft_wait_park(&acquirer.wait);
    if (rc == 0)
        rc = acquirer.waiter.result;
    *ret_slot = acquirer.waiter.item;
    return rc;
}

static int acquire(weft_pool *p, const void *place, void **ret_resource)
{
    struct slot *slot = take_slot(p);
    int rc = slot ? 0 : wait_for_slot(p, place, &slot);
    if (rc < 0)
        return rc;
    rc = prepare(p, slot);
    if (rc < 0) {
        pass_on(p, slot);
        return rc;
    }
    set_state(slot, OUT);
    *ret_resource = slot->resource;
    return 0;
}

static int acquire_in_time(weft_pool *p, const void *place, void **ret_resource)
{
    IS_A(p, POOL_MAGIC);
    int rc = weft_wait_check("pool");
    if (rc < 0)
        return rc;
    if (p->is_closing)
        return WEFT_ECLOSED;
    if (p->options.acquire_timeout <= 0)
        return acquire(p, place, ret_resource);
    WEFT_TIMEOUT (limit, p->options.acquire_timeout) {
        rc = acquire(p, place, ret_resource);
    }
    return rc;
}

int weft_pool_acquire_(weft_pool *p, void *ret_ptr, size_t size)
{
    void *resource;
    if (size != p->size)
        return -EINVAL;
    int rc = acquire_in_time(p, __builtin_return_address(0), &resource);
    if (rc == 0)
        memcpy(ret_ptr, &resource, sizeof resource); /* whatever it is said to point at */
    return rc;
}

/* ---- releasing ---- */

/* The slot of a resource that the user says is out. */
static struct slot *find_slot(weft_pool *p, void *resource)
{
    struct slot *slot = CONTAINER_OF(resource, struct slot, resource);
    uintptr_t offset = (uintptr_t)slot - (uintptr_t)p->slots;
    bool is_ours = offset < p->options.limit * p->slot_size && offset % p->slot_size == 0;
    if (!is_ours || slot->state != OUT)
        weft_misuse_die("what is released to a pool %s", is_ours ? "is not out" : "is not of it");
    return slot;
}

static void put_back(weft_pool *p, void *resource, bool is_broken)
{
    IS_A(p, POOL_MAGIC);
    struct slot *slot = find_slot(p, resource);
    set_state(slot, TAKEN);
    bool is_over = p->options.lifetime > 0 && has_passed(slot->opened_at, p->options.lifetime);
    if (is_broken || is_over)
        close_resource(p, slot);
    pass_on(p, slot);
}

void weft_pool_release(weft_pool *p, void *resource)
{
    put_back(p, resource, false);
}

void weft_pool_discard(weft_pool *p, void *resource)
{
    put_back(p, resource, true);
}

weft_pooled weft_pool_enter_(weft_pool *p)
{
    weft_pooled pooled = { .pool_ = p };
    pooled.result = acquire_in_time(p, __builtin_return_address(0), &pooled.resource);
    return pooled;
}

void weft_pool_leave_(weft_pooled **pooled)
{
    const weft_pooled *own = *pooled;
    if (own->result == 0)
        put_back(own->pool_, own->resource, own->is_broken);
}

weft_pool_counts weft_pool_count(const weft_pool *p)
{
    IS_A(p, POOL_MAGIC);
    return (weft_pool_counts){ .open = p->used, .idle = p->idle_count, .waiting = p->waiting_count };
}

/* ---- what has been idle for too long ---- */

static struct slot *overdue(weft_pool *p)
{
    struct slot *oldest = last_slot(&p->idle);
    bool is_due = oldest && !p->is_closing && p->used > p->options.minimum;
    return is_due && has_passed(oldest->idle_since, p->options.idle_timeout) ? oldest : NULL;
}

static int tidy(void *arg)
{
    weft_pool *p = arg;
    struct slot *slot;
    while ((slot = overdue(p))) {
        take_idle(p, slot);
        close_resource(p, slot);
        pass_on(p, slot);
    }
    p->is_tidying = false;
    arm(p);
    free_if_over(p);
    return 0;
}

static void strike(weft_timer *timer)
{
    weft_pool *p = CONTAINER_OF(timer, struct weft_pool, timer);
    if (!overdue(p)) {
        arm(p);
        return;
    }
    struct weft_task_spec spec = { .fn = tidy, .arg = p, .name = "pool_tidy", .file = __FILE__, .line = __LINE__ };
    p->is_tidying = weft_task_start(&weft_here->root, &spec, NULL) == 0;
    if (!p->is_tidying) /* out of memory */
        weft_timer_set(&weft_here->wheel, &p->timer, weft_tick_of(weft_clock_add(now(), LATER)));
}

/* ---- the whole ---- */

static bool are_valid(const weft_pool_options *options, size_t size, weft_pool_open_fn *open, weft_pool_close_fn *close)
{
    bool has_room = options->limit <= LIMIT_MAX && options->minimum <= options->limit;
    return has_room && size > 0 && size <= RESOURCE_MAX && open && close;
}

static weft_pool *make(const weft_pool_options *options, size_t size)
{
    size_t slot_size = (sizeof(struct slot) + size + 15) & ~(size_t)15;
    weft_pool *p = weft_mem_calloc(1, sizeof *p + options->limit * slot_size);
    if (!p)
        return NULL;
    p->magic = POOL_MAGIC;
    p->options = *options;
    p->size = size;
    p->slot_size = slot_size;
    weft_list_init(&p->free);
    weft_list_init(&p->idle);
    weft_list_init(&p->line);
    weft_list_init(&p->closer);
    weft_timer_init(&p->timer, strike);
    for (size_t i = 0; i < options->limit; i++) {
        struct slot *slot = (void *)(p->slots + i * slot_size);
        weft_list_append(&p->free, &slot->link);
    }
    return p;
}

static int open_minimum(weft_pool *p)
{
    for (size_t i = 0; i < p->options.minimum; i++) {
        struct slot *slot = first_slot(&p->free);
        weft_list_remove(&slot->link);
        p->used++;
        set_state(slot, TAKEN);
        int rc = prepare(p, slot);
        pass_on(p, slot);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int weft_pool_open_(weft_pool **ret_pool, size_t size, weft_pool_open_fn *open, weft_pool_close_fn *close,
                    const weft_pool_options *given, const char *file, int line)
{
    weft_pool_options options = { 0 };
    memcpy(&options, given, given->struct_size < sizeof options ? given->struct_size : sizeof options);
    int rc = weft_wait_check("pool open");
    if (rc < 0)
        return rc;
    options.limit = options.limit ? options.limit : LIMIT;
    options.idle_timeout = options.idle_timeout > 0 ? options.idle_timeout : IDLE_TIMEOUT;
    if (!are_valid(&options, size, open, close))
        return -EINVAL;
    weft_pool *p = make(&options, size);
    if (!p)
        return -ENOMEM;
    p->open = open;
    p->close = close;
    rc = open_minimum(p);
    if (rc < 0) {
        weft_pool_close(p);
        return rc;
    }
    weft_debug_made(p, "a pool", file, line);
    *ret_pool = p;
    return 0;
}

/* 0 when all slots are free; or the reason. */
static int wait_for_the_others(weft_pool *p, const void *place)
{
    if (p->used == 0 && !p->is_tidying)
        return 0;
    int rc = weft_wait_check("pool close");
    if (p->used == 0 && !p->is_tidying) /* they may have come while the wait was refused */
        return 0;
    if (rc < 0)
        return rc;
    struct weft_waiting waiting = WEFT_WAITING("pool close", p);
    waiting.wait.place = place;
    return weft_waiting_park(&waiting, &p->closer);
}

int weft_pool_close(weft_pool *p)
{
    if (!p)
        return 0;
    IS_A(p, POOL_MAGIC);
    if (p->is_closing) {
        weft_misuse("a pool is closed that is being closed");
        return -EALREADY;
    }
    p->is_closing = true;
    weft_debug_gone(p);
    weft_timer_clear(&p->timer);
    weft_waiter_serve_all(&p->line, WEFT_ECLOSED);
    struct slot *slot;
    while ((slot = first_slot(&p->idle)))
        pass_on(p, take_idle(p, slot));
    int rc = wait_for_the_others(p, __builtin_return_address(0));
    p->is_abandoned = true;
    free_if_over(p);
    return rc;
}
