/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Generators with a body.
 *
 * The body is a coroutine of its own, but no task: `next` switches straight from the consumer's stack to the body's, and a
 * yield straight back, without the scheduler. While the body runs it is the consumer's task that does: the task's `coro` is the
 * body's, so that a wait in the body parks that task there, and the body's own keeps where the consumer stands. What the body
 * has opened in the task, scopes and deferred calls, is put on at each entry and taken off at each yield.
 *
 * After a switch the processor predicts every return wrongly, until the calls of one side are balanced again. So there is one
 * call between the user's code and the switch, on either side, and all else is inline: a step went from 30 to 14 ns. And all
 * that follows a switch waits for the stack pointer that it loads: so that is stored where it is loaded from, and never moved.
 * What is there already is not stored again: with nine stores less in flight the median step takes 9.8 ns, not 11.9.
 */
#include "lib/sync/generator.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/task/debug.h"

#define GENERATOR_MAGIC 0x9e4e7a70u

#define INLINE static inline __attribute__((always_inline))

struct body {
    weft_generator base;
    weft_generator_fn *fn;
    void *arg;
    size_t stack_size;
    bool has_ended, is_closing, has_received;
    struct weft_nested nested;      /* its coro's stack is the body's while suspended; NULL: not begun, or ended */
    void *sp;                       /* where the body was left */
    weft_scope *base_scope;         /* the consumer's innermost, while it runs */
    struct weft_scope_chain scopes; /* open in the body, while it is suspended */
    struct weft_deferred *deferred; /* the body's while suspended, the consumer's while it runs */
    struct weft_owned *owned;       /* generators made in the body */
    weft_generator *delegate;       /* what it hands out in place of its own */
    void *received;
    size_t received_size;
    alignas(16) char copy[];
};

static const bool legal_moves[][WEFT_GENERATOR_ENDED + 1] = {
    [WEFT_GENERATOR_NEW] = { [WEFT_GENERATOR_RUNNING] = true },
    [WEFT_GENERATOR_RUNNING] = { [WEFT_GENERATOR_SUSPENDED] = true, [WEFT_GENERATOR_ENDED] = true },
    [WEFT_GENERATOR_SUSPENDED] = { [WEFT_GENERATOR_RUNNING] = true },
    [WEFT_GENERATOR_ENDED] = { false },
};

INLINE void set_state(weft_generator *g, enum weft_generator_state state)
{
    CHECK(legal_moves[g->state][state]);
    g->state = (uint8_t)state;
}

INLINE struct body *body_of(weft_generator *g)
{
    return CONTAINER_OF(g, struct body, base);
}

/* ---- making ---- */

/* The list of who closes what is now made and left open. */
static struct weft_owned **find_owner(const weft_task *t)
{
    struct body *around = t->nested ? CONTAINER_OF(t->nested, struct body, nested) : NULL;
    const weft_scope *end = around ? around->base_scope : NULL;
    for (weft_scope *s = t->innermost; s != end; s = weft_scope_own(s)->outer)
        if (weft_scope_own(s)->is_group)
            return &weft_group_own(weft_scope_group(s))->owned;
    return around ? &around->owned : &weft_group_own(t->group)->owned;
}

static void report_left_open(const weft_generator *g)
{
    char name[200];
    if (weft_here->debug) {
        snprintf(name, sizeof name, "the generator %s made at", g->name);
        weft_debug_mistake("was left open", name, g->file ? g->file : "a pipeline", g->line, "");
        return;
    }
#ifdef WEFT_DEBUG
    weft_log(WEFT_LOG_WARNING, "the generator %s made at %s:%d was left open", g->name, g->file, g->line);
#endif
}

static void end_left_open(struct weft_owned *owned)
{
    weft_generator *g = CONTAINER_OF(owned, weft_generator, owned);
    if (g->state == WEFT_GENERATOR_RUNNING)
        weft_misuse_die("a group ends that owns a generator (%s, made at %s:%d) which is being stepped", g->name, g->file,
                        g->line);
    if (g->state != WEFT_GENERATOR_ENDED)
        report_left_open(g);
    int rc = weft_generator_close(g);
    if (rc < 0)
        weft_log(WEFT_LOG_WARNING, "the clean-up of a generator that was left open failed: %s", weft_strerror(rc));
}

weft_generator *weft_generator_make(const struct weft_generator_kind *kind, size_t item_size, size_t object_size)
{
    weft_task *t = weft_task_self();
    if (!t) {
        weft_misuse("a generator is made outside a task");
        errno = EPERM;
        return NULL;
    }
    if (item_size == 0 || item_size > WEFT_GENERATOR_ITEM_MAX) {
        errno = EINVAL;
        return NULL;
    }
    weft_generator *g = weft_mem_calloc(1, object_size);
    if (!g) {
        errno = ENOMEM;
        return NULL;
    }
    *g = (weft_generator){
        .magic = GENERATOR_MAGIC,
        .item_size = item_size,
        .object_size = object_size,
        .kind = kind,
        .owned = { .end = end_left_open },
    };
    weft_owned_add(find_owner(t), &g->owned);
    return g;
}

/* ---- switching ---- */

/* What the task's is becomes the body's, and the other way round; but for the stack pointers, which the switch sees to. */
INLINE void exchange(weft_task *t, struct body *b)
{
    weft_stack *stack = t->coro.stack;
    t->coro.stack = b->nested.coro.stack;
    b->nested.coro.stack = stack;
    struct weft_deferred *deferred = t->deferred;
    if (UNLIKELY(deferred != b->deferred)) {
        t->deferred = b->deferred;
        b->deferred = deferred;
    }
}

/* From the consumer into the body; returns when that has yielded or ended. */
INLINE void enter(weft_task *t, struct body *b)
{
    if (UNLIKELY(b->nested.outer != t->nested))
        b->nested.outer = t->nested;
    if (UNLIKELY(b->base_scope != t->innermost))
        b->base_scope = t->innermost;
    t->nested = &b->nested;
    if (UNLIKELY(b->scopes.outermost))
        weft_scope_attach(t, &b->scopes);
    exchange(t, b);
    weft_coro_transfer(&b->nested.coro.sp, b->sp, t->coro.stack);
}

/* All of leaving but the switch, to b->nested.coro. */
INLINE void prepare_to_leave(weft_task *t, struct body *b)
{
    if (UNLIKELY(t->innermost != b->base_scope))
        weft_scope_detach(t, b->base_scope, &b->scopes);
    t->nested = b->nested.outer;
    exchange(t, b);
}

static void run_body(void *arg)
{
    struct body *b = arg;
    weft_coro_arrived_by_transfer();
    b->base.result = b->fn(&b->base, b->arg);
    weft_task *t = weft_here->current; /* not always the one that entered it first */
    b->is_closing = true;              /* no value is handed out any more */
    if (t->deferred)
        weft_task_run_deferred(t);
    if (t->innermost != b->base_scope)
        weft_misuse_die("the body of a generator (%s) ended with a scope or group still open", b->base.name);
    weft_owned_end_all(&b->owned);
    b->has_ended = true;
    prepare_to_leave(t, b);
    weft_coro_transfer_end(&b->sp, b->nested.coro.sp, t->coro.stack);
}

static int begin(struct body *b)
{
    weft_stack *stack = weft_stack_take(&weft_here->stacks, b->stack_size);
    if (!stack)
        return -ENOMEM;
    weft_coro_init(&b->nested.coro, stack, stack->top, run_body, b);
    b->sp = b->nested.coro.sp;
    return 0;
}

static int end_body(weft_generator *g)
{
    struct body *b = body_of(g);
    weft_task_give_stack(weft_here->current, b->nested.coro.stack);
    b->nested.coro.stack = NULL;
    return g->result < 0 ? g->result : 0;
}

INLINE int step_body(weft_generator *g)
{
    struct body *b = body_of(g);
    if (UNLIKELY(!b->nested.coro.stack)) {
        int rc = begin(b);
        if (rc < 0)
            return rc;
    }
    enter(weft_here->current, b);
    return LIKELY(!b->has_ended) ? 1 : end_body(g);
}

static int finish_body(weft_generator *g)
{
    struct body *b = body_of(g);
    if (g->state != WEFT_GENERATOR_SUSPENDED)
        return 0;
    if (!weft_wait_is_allowed("close of a generator"))
        weft_misuse_die("a generator is closed where its body cannot run");
    weft_scope shield = { .timeout = WEFT_CLEANUP_TIME, .shielded = true };
    weft_scope_open(&shield);
    b->is_closing = true;
    set_state(g, WEFT_GENERATOR_RUNNING);
    int rc = step_body(g);
    CHECK(rc <= 0);
    set_state(g, WEFT_GENERATOR_ENDED);
    weft_scope_close(&shield);
    return rc == WEFT_ECANCELED ? 0 : rc;
}

static size_t count_touched(const weft_stack *stack)
{
    enum { PAGES = 64 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE), touched = 0;
    char *high = stack->low + weft_stack_size(stack);
    for (char *at = stack->low; at < high; at += PAGES * page) {
        unsigned char is_there[PAGES];
        size_t size = (size_t)(high - at) < PAGES * page ? (size_t)(high - at) : PAGES * page;
        if (mincore(at, size, is_there) != 0)
            return 0;
        for (size_t i = 0; i < size / page; i++)
            touched += is_there[i] & 1;
    }
    return touched * page;
}

static size_t memory_of_body(const weft_generator *g)
{
    const struct body *b = CONTAINER_OF(g, const struct body, base);
    return b->nested.coro.stack && g->state == WEFT_GENERATOR_SUSPENDED ? count_touched(b->nested.coro.stack) : 0;
}

static const struct weft_generator_kind body_kind = { .finish = finish_body, .memory = memory_of_body };

weft_generator *weft_generator_new_(size_t item_size, const char *name, const char *file, int line, weft_generator_fn *fn,
                                    void *arg, size_t copy_size, const weft_generator_options *given)
{
    weft_generator_options options = { 0 };
    memcpy(&options, given, given->struct_size < sizeof options ? given->struct_size : sizeof options);
    if (copy_size > WEFT_GENERATOR_ITEM_MAX) {
        errno = EINVAL;
        return NULL;
    }
    weft_generator *g = weft_generator_make(&body_kind, item_size, sizeof(struct body) + copy_size);
    if (!g)
        return NULL;
    struct body *b = body_of(g);
    g->name = b->nested.name = name;
    g->file = file;
    g->line = line;
    b->fn = fn;
    b->arg = copy_size > 0 ? memcpy(b->copy, arg, copy_size) : arg;
    b->stack_size = options.stack_size;
    return g;
}

/* ---- for the consumer ---- */

/* What there is to say in place of a step. */
static int refuse_step(const weft_generator *g, size_t size)
{
    return size != g->item_size ? -EINVAL : g->state == WEFT_GENERATOR_RUNNING ? -EALREADY : g->result;
}

INLINE int step(weft_generator *g, void *value, size_t size)
{
    if (UNLIKELY(!g))
        return -ENOMEM;
    IS_A(g, GENERATOR_MAGIC);
    if (UNLIKELY(size != g->item_size || g->state == WEFT_GENERATOR_RUNNING || g->state == WEFT_GENERATOR_ENDED))
        return refuse_step(g, size);
    set_state(g, WEFT_GENERATOR_RUNNING);
    g->out = value;
    int rc = g->kind == &body_kind ? step_body(g) : g->kind->step(g);
    if (LIKELY(rc > 0)) {
        set_state(g, WEFT_GENERATOR_SUSPENDED);
        return 1;
    }
    set_state(g, WEFT_GENERATOR_ENDED);
    return g->result = rc;
}

int weft_generator_step(weft_generator *g, void *value, size_t size)
{
    return step(g, value, size);
}

int weft_generator_next_(weft_generator *g, void *value, size_t size)
{
    int rc = weft_wait_begin("next of a generator");
    return LIKELY(rc == 0) ? step(g, value, size) : rc;
}

int weft_generator_send_(weft_generator *g, const void *sent, size_t sent_size, void *value, size_t size)
{
    int rc = weft_wait_check("send to a generator");
    if (rc < 0)
        return rc;
    if (!g)
        return -ENOMEM;
    IS_A(g, GENERATOR_MAGIC);
    if (g->state == WEFT_GENERATOR_RUNNING)
        return -EALREADY;
    if (g->state == WEFT_GENERATOR_ENDED)
        return g->result;
    weft_generator *to = g;
    while (to->kind == &body_kind && body_of(to)->delegate)
        to = body_of(to)->delegate;
    if (size != g->item_size || to->kind != &body_kind || to->state != WEFT_GENERATOR_SUSPENDED)
        return -EINVAL;
    struct body *b = body_of(to);
    if (sent_size != b->received_size)
        return -EINVAL;
    memcpy(b->received, sent, sent_size);
    b->has_received = true;
    return weft_generator_step(g, value, size);
}

int weft_generator_close(weft_generator *g)
{
    if (!g)
        return 0;
    IS_A(g, GENERATOR_MAGIC);
    if (g->state == WEFT_GENERATOR_RUNNING) {
        weft_misuse("a generator (%s) is closed while it is being stepped", g->name);
        return -EALREADY;
    }
    int rc = g->kind->finish(g);
    weft_owned_remove(&g->owned);
    g->magic = 0;
    weft_mem_free(g);
    return rc;
}

size_t weft_generator_memory(const weft_generator *g)
{
    if (!g)
        return 0;
    IS_A(g, GENERATOR_MAGIC);
    return g->object_size + g->kind->memory(g);
}

/* ---- for the body ---- */

/* Is this the body that runs, on its own stack? */
INLINE bool is_in_body(const weft_generator *g)
{
    IS_A(g, GENERATOR_MAGIC);
    const weft_loop *loop = weft_here;
    const struct body *b = CONTAINER_OF(g, const struct body, base);
    return LIKELY(loop && loop->current && loop->current->nested == &b->nested && !loop->on_loop_stack);
}

static int refuse_outside(const weft_generator *g, const char *what)
{
    if (weft_wait_is_allowed(what))
        weft_misuse("%s outside the generator's body (%s)", what, g->name);
    return -EPERM;
}

/* The value is in the consumer's hands. */
INLINE int hand_over(struct body *b, void *received, size_t received_size)
{
    if (UNLIKELY(received_size != 0 || b->received_size != 0)) { /* else nothing can be sent to it, or could */
        b->received = received;
        b->received_size = received_size;
        b->has_received = false;
    }
    weft_task *t = weft_here->current;
    prepare_to_leave(t, b);
    weft_coro_transfer(&b->sp, b->nested.coro.sp, t->coro.stack);
    return UNLIKELY(b->is_closing) ? WEFT_ECANCELED : b->has_received;
}

/* A body that ignores this must not become a busy loop. */
static int refuse_yield(void)
{
    weft_wait_refuse("yield of a generator that is closed", WEFT_ECANCELED);
    return WEFT_ECANCELED;
}

int weft_generator_yield_(weft_generator *g, const void *value, size_t size, void *received, size_t received_size)
{
    if (UNLIKELY(!is_in_body(g)))
        return refuse_outside(g, "yield");
    struct body *b = body_of(g);
    if (size != g->item_size)
        return -EINVAL;
    if (UNLIKELY(b->is_closing))
        return refuse_yield();
    if (LIKELY(size == sizeof(void *)))
        memcpy(g->out, value, sizeof(void *)); /* one instruction */
    else
        memcpy(g->out, value, size);
    return hand_over(b, received, received_size);
}

/* Values go from the other's body straight to the consumer of this one. */
static int delegate(struct body *b, weft_generator *other)
{
    int rc = 0;
    while (rc >= 0 && (rc = weft_generator_step(other, b->base.out, b->base.item_size)) > 0)
        rc = hand_over(b, NULL, 0);
    return rc;
}

int weft_generator_yield_from(weft_generator *g, weft_generator *other)
{
    if (!is_in_body(g))
        return refuse_outside(g, "yield from");
    if (!other)
        return -ENOMEM;
    IS_A(other, GENERATOR_MAGIC);
    struct body *b = body_of(g);
    if (other->state == WEFT_GENERATOR_RUNNING)
        return -EALREADY;
    int rc = b->is_closing ? refuse_yield() : other->item_size != g->item_size ? -EINVAL : 0;
    if (rc == 0) {
        b->delegate = other;
        rc = delegate(b, other);
        b->delegate = NULL;
    }
    int closing = weft_generator_close(other);
    return rc < 0 ? rc : closing;
}

/* ---- the loop ---- */

bool weft_each_next_(weft_each_ *each, void *value, size_t size)
{
    int rc = weft_wait_begin("next of a generator");
    if (LIKELY(rc == 0))
        rc = step(each->generator, value, size);
    each->error = rc < 0 ? rc : 0;
    return rc > 0;
}

/* Is it what the task has been told already, and will be told by its next wait? */
static bool is_known(int error)
{
    return (error == WEFT_ECANCELED || error == WEFT_EDEADLINE) && weft_here->current->reason;
}

void weft_each_leave_(weft_each_ *each)
{
    int rc = weft_generator_close(each->generator);
    if (each->error < 0)
        rc = each->error;
    if (each->result)
        *each->result = rc;
    else if (rc < 0 && !is_known(rc))
        weft_log(WEFT_LOG_WARNING, "a loop over a generator ended with an error: %s", weft_strerror(rc));
}
