/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Stages of pipelines: generators that need no stack, for a step of theirs is a call that returns. */
#include <errno.h>
#include <stdalign.h>

#include "lib/sync/generator.h"

/* ---- range ---- */

struct range {
    weft_generator base;
    long next, end, step;
    bool is_over;
};

static int step_range(weft_generator *g)
{
    struct range *r = CONTAINER_OF(g, struct range, base);
    if (r->is_over || (r->step > 0 ? r->next >= r->end : r->next <= r->end))
        return 0;
    *(long *)g->out = r->next;
    r->is_over = __builtin_add_overflow(r->next, r->step, &r->next);
    return 1;
}

static int finish_nothing(weft_generator *g)
{
    (void)g;
    return 0;
}

static size_t no_memory(const weft_generator *g)
{
    (void)g;
    return 0;
}

static const struct weft_generator_kind range_kind = { .step = step_range, .finish = finish_nothing, .memory = no_memory };

weft_generator *weft_generator_range(long first, long end, long step)
{
    if (step == 0) {
        errno = EINVAL;
        return NULL;
    }
    weft_generator *g = weft_generator_make(&range_kind, sizeof(long), sizeof(struct range));
    if (!g)
        return NULL;
    struct range *r = CONTAINER_OF(g, struct range, base);
    g->name = "range";
    r->next = first;
    r->end = end;
    r->step = step;
    return g;
}

/* ---- stages over a source ---- */

struct stage {
    weft_generator base;
    weft_generator *source;
    weft_map_fn *map;
    weft_filter_fn *filter;
    void *arg;
    size_t left;              /* take */
    alignas(16) char value[]; /* map: of the source */
};

static struct stage *stage_of(weft_generator *g)
{
    return CONTAINER_OF(g, struct stage, base);
}

static int finish_stage(weft_generator *g)
{
    return weft_generator_close(stage_of(g)->source);
}

static size_t memory_of_source(const weft_generator *g)
{
    return weft_generator_memory(CONTAINER_OF(g, const struct stage, base)->source);
}

static int step_map(weft_generator *g)
{
    struct stage *s = stage_of(g);
    int rc = weft_generator_step(s->source, s->value, s->source->item_size);
    if (rc > 0)
        rc = s->map(s->value, g->out, s->arg);
    else
        return rc;
    return rc < 0 ? rc : 1;
}

static int step_filter(weft_generator *g)
{
    struct stage *s = stage_of(g);
    int rc;
    while ((rc = weft_generator_step(s->source, g->out, g->item_size)) > 0) {
        rc = s->filter(g->out, s->arg);
        if (rc != 0)
            return rc < 0 ? rc : 1;
    }
    return rc;
}

static int step_take(weft_generator *g)
{
    struct stage *s = stage_of(g);
    if (s->left == 0)
        return 0;
    s->left--;
    return weft_generator_step(s->source, g->out, g->item_size);
}

static const struct weft_generator_kind map_kind = { .step = step_map, .finish = finish_stage, .memory = memory_of_source };
static const struct weft_generator_kind filter_kind = { .step = step_filter,
                                                        .finish = finish_stage,
                                                        .memory = memory_of_source };
static const struct weft_generator_kind take_kind = { .step = step_take, .finish = finish_stage, .memory = memory_of_source };

/* The source is closed if the stage cannot be made: of the two errors the first is the one to tell. */
static struct stage *make_stage(const struct weft_generator_kind *kind, const char *name, size_t item_size, size_t value_size,
                                weft_generator *source)
{
    if (!source)
        return NULL; /* errno says why */
    weft_generator *g = weft_generator_make(kind, item_size, sizeof(struct stage) + value_size);
    if (!g) {
        int error = errno;
        int rc = weft_generator_close(source);
        (void)rc;
        errno = error;
        return NULL;
    }
    g->name = name;
    stage_of(g)->source = source;
    return stage_of(g);
}

weft_generator *weft_generator_map_(size_t item_size, weft_generator *source, weft_map_fn *fn, void *arg)
{
    struct stage *s = make_stage(&map_kind, "map", item_size, source ? source->item_size : 0, source);
    if (!s)
        return NULL;
    s->map = fn;
    s->arg = arg;
    return &s->base;
}

weft_generator *weft_generator_filter(weft_generator *source, weft_filter_fn *fn, void *arg)
{
    struct stage *s = make_stage(&filter_kind, "filter", source ? source->item_size : 0, 0, source);
    if (!s)
        return NULL;
    s->filter = fn;
    s->arg = arg;
    return &s->base;
}

weft_generator *weft_generator_take(weft_generator *source, size_t count)
{
    struct stage *s = make_stage(&take_kind, "take", source ? source->item_size : 0, 0, source);
    if (!s)
        return NULL;
    s->left = count;
    return &s->base;
}
