/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Guards: MADV_GUARD_INSTALL (Linux 6.13) makes pages fault without splitting the mapping; before that mprotect does, at two
 * mappings a stack, and a process may have some 65,000 of them: so they have a budget, past which there are canaries. A canary
 * of zeros costs no memory: pages that are only read are all the one page of zeros. A pattern would cost a page a stack, as
 * much as the stack of a shallow task, and a frame that leaves most of itself untouched could step over it: so all of the 16
 * KiB are looked at, by 1,800 instructions.
 */
#include "lib/coro/stack.h"

#include <stdint.h>
#include <sys/mman.h>

#include "lib/base/check.h"
#include "lib/base/memory.h"
#include "lib/base/sanitize.h"
#include "lib/coro/annotate.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
    SLAB_TARGET = 4 * 1024 * 1024, /* bytes of stacks in a slab */
    SLAB_MIN_STACKS = 4,
    PROTECTED_GUARDS_MAX = 12000,
    TRIM_KEEP = 16, /* warm stacks that a trim leaves alone */
    STAGGER_STEPS = 8,
    STAGGER = 128, /* bytes */
};

struct weft_stack_slab {
    struct weft_stack_slab *next;
    char *base;
    size_t mapped;
    size_t count, cut;
    size_t guarded; /* slots whose guard is installed already */
    weft_stack stacks[];
};

void weft_stacks_init(weft_stacks *stacks)
{
    *stacks = (weft_stacks){ .best_guard = WEFT_GUARD_INSTALLED, .protected_guards_max = PROTECTED_GUARDS_MAX };
    for (size_t i = 0; i < WEFT_STACK_CLASSES; i++) {
        weft_list_init(&stacks->classes[i].warm);
        weft_list_init(&stacks->classes[i].cold);
    }
}

static unsigned class_of(size_t size)
{
    if (size == 0)
        size = WEFT_STACK_DEFAULT;
    if (size <= WEFT_STACK_MIN)
        return 0;
    if (size > WEFT_STACK_MAX)
        size = WEFT_STACK_MAX;
    return (unsigned)(__builtin_clzl(WEFT_STACK_MIN - 1) - __builtin_clzl(size - 1)); /* the next power of two */
}

/* Memory for the slab: what is left from another pool, if it fits, counts like what is asked for. */
static void map(struct weft_stack_slab *slab, struct weft_stack_spare *spare)
{
    if (!spare || spare->mapped != slab->mapped) {
        slab->base = weft_mem_map(slab->mapped);
        return;
    }
    if (weft_mem_strikes())
        return;
    slab->base = spare->base;
    slab->guarded = spare->guarded;
    *spare = (struct weft_stack_spare){ .base = NULL };
}

static void unmap(const weft_stacks *stacks, const struct weft_stack_slab *slab)
{
    bool is_default = slab->mapped == SLAB_TARGET / WEFT_STACK_DEFAULT * (WEFT_STACK_DEFAULT + WEFT_STACK_GUARD);
    bool has_guards = stacks->best_guard == WEFT_GUARD_INSTALLED && stacks->protected_guards == 0 && stacks->canaries == 0;
    if (stacks->spare && !stacks->spare->base && is_default && has_guards)
        *stacks->spare = (struct weft_stack_spare){ slab->base, slab->mapped,
                                                    slab->cut > slab->guarded ? slab->cut : slab->guarded };
    else
        weft_mem_unmap(slab->base, slab->mapped);
}

static struct weft_stack_slab *add_slab(weft_stacks *stacks, struct weft_stack_class *class, size_t stack_size)
{
    size_t count = SLAB_TARGET / stack_size;
    if (count < SLAB_MIN_STACKS)
        count = SLAB_MIN_STACKS;
    struct weft_stack_slab *slab = weft_mem_calloc(1, sizeof *slab + count * sizeof slab->stacks[0]);
    if (!slab)
        return NULL;
    slab->mapped = count * (stack_size + WEFT_STACK_GUARD);
    map(slab, stacks->spare);
    if (!slab->base) {
        weft_mem_free(slab);
        return NULL;
    }
    slab->count = count;
    slab->next = class->slabs;
    class->slabs = slab;
    return slab;
}

/* Guards the bytes from `at`, as well as can be. */
static weft_guard guard(weft_stacks *stacks, char *at)
{
    if (stacks->best_guard == WEFT_GUARD_INSTALLED) {
        if (madvise(at, WEFT_STACK_GUARD, MADV_GUARD_INSTALL) == 0)
            return WEFT_GUARD_INSTALLED;
        stacks->best_guard = WEFT_GUARD_PROTECTED;
    }
    if (stacks->best_guard == WEFT_GUARD_PROTECTED && stacks->protected_guards < stacks->protected_guards_max &&
        mprotect(at, WEFT_STACK_GUARD, PROT_NONE) == 0) {
        stacks->protected_guards++;
        return WEFT_GUARD_PROTECTED;
    }
    stacks->canaries++;
    return WEFT_GUARD_CANARY;
}

bool weft_stack_look_at_canary(const weft_stack *stack)
{
    typedef uint64_t pair __attribute__((vector_size(16))); /* two words at a time: half as long */
    const pair *at = (const pair *)(const void *)(stack->low - WEFT_STACK_GUARD);
    const pair *end = (const pair *)(const void *)stack->low;
    pair a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
    for (; at < end; at += 4) {
        a |= at[0];
        b |= at[1];
        c |= at[2];
        d |= at[3];
    }
    a |= b | c | d;
    return (a[0] | a[1]) != 0;
}

/* Cuts one more stack from the newest slab of the class, or from a new one. */
static weft_stack *cut(weft_stacks *stacks, unsigned class_index)
{
    struct weft_stack_class *class = &stacks->classes[class_index];
    size_t size = WEFT_STACK_MIN << class_index;
    struct weft_stack_slab *slab = class->slabs;
    if (!slab || slab->cut == slab->count) {
        slab = add_slab(stacks, class, size);
        if (!slab)
            return NULL;
    }
    char *slot = slab->base + slab->cut * (size + WEFT_STACK_GUARD);
    weft_stack *stack = &slab->stacks[slab->cut];
    *stack = (weft_stack){ .low = slot + WEFT_STACK_GUARD,
                           .class_index = class_index,
                           .guard = slab->cut < slab->guarded ? WEFT_GUARD_INSTALLED : guard(stacks, slot) };
    stack->top = stack->low + size - (slab->cut % STAGGER_STEPS) * STAGGER;
    stack->valgrind_id = ANNOTATE_STACK_REGISTER(stack->low, stack->low + size);
    slab->cut++;
    stacks->cut++;
    return stack;
}

weft_stack *weft_stack_take(weft_stacks *stacks, size_t size)
{
    unsigned class_index = class_of(size);
    struct weft_stack_class *class = &stacks->classes[class_index];
    weft_stack *stack;
    weft_list *node = class->warm.next;
    if (LIKELY(node != &class->warm)) {
        weft_list_unlink(node);
        stack = CONTAINER_OF(node, weft_stack, link);
        if (--class->warm_count < class->warm_low)
            class->warm_low = class->warm_count;
    } else if ((node = weft_list_shift(&class->cold))) {
        stack = CONTAINER_OF(node, weft_stack, link);
    } else {
        stack = cut(stacks, class_index);
        if (!stack)
            return NULL;
    }
    stacks->in_use++;
    return stack;
}

void weft_stack_give(weft_stacks *stacks, weft_stack *stack)
{
    struct weft_stack_class *class = &stacks->classes[stack->class_index];
    SANITIZE_UNPOISON(stack->low, weft_stack_size(stack)); /* the last frames never returned */
    weft_list_prepend(&class->warm, &stack->link);
    class->warm_count++;
    stacks->in_use--;
}

bool weft_stacks_trim(weft_stacks *stacks)
{
    bool more = false;
    for (size_t i = 0; i < WEFT_STACK_CLASSES; i++) {
        struct weft_stack_class *class = &stacks->classes[i];
        size_t spare = class->warm_low > TRIM_KEEP ? class->warm_low - TRIM_KEEP : 0;
        for (size_t n = (spare + 1) / 2; n > 0; n--) {
            weft_list *coldest = class->warm.prev;
            weft_list_remove(coldest);
            class->warm_count--;
            weft_stack *stack = CONTAINER_OF(coldest, weft_stack, link);
            madvise(stack->low, weft_stack_size(stack), MADV_DONTNEED); /* refused: the pages stay, no harm */
            weft_list_append(&class->cold, coldest);
        }
        class->warm_low = class->warm_count;
        more = more || class->warm_count > TRIM_KEEP;
    }
    return more;
}

void weft_stacks_close(weft_stacks *stacks)
{
    CHECK(stacks->in_use == 0);
    for (size_t i = 0; i < WEFT_STACK_CLASSES; i++) {
        struct weft_stack_slab *slab;
        while ((slab = stacks->classes[i].slabs)) {
            stacks->classes[i].slabs = slab->next;
            for (size_t k = 0; k < slab->cut; k++) {
                ANNOTATE_STACK_DEREGISTER(slab->stacks[k].valgrind_id);
                weft_fiber_free(slab->stacks[k].fiber);
            }
            unmap(stacks, slab);
            weft_mem_free(slab);
        }
    }
}
