/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * What all generators share: those with a body (generator.c) and the stages of pipelines (pipeline.c).
 *
 *     NEW ──> RUNNING <──> SUSPENDED
 *                └──> ENDED
 *
 * A generator is RUNNING while it is being stepped, also while its body waits. Embedded, first, in an object of its kind, that
 * begins where the generator begins.
 */
#ifndef WEFT_LIB_SYNC_GENERATOR_H
#define WEFT_LIB_SYNC_GENERATOR_H

#include <weft/generator.h>

#include "lib/task/task.h"

enum weft_generator_state { WEFT_GENERATOR_NEW, WEFT_GENERATOR_RUNNING, WEFT_GENERATOR_SUSPENDED, WEFT_GENERATOR_ENDED };

enum { WEFT_GENERATOR_ITEM_MAX = 64 * 1024 };

struct weft_generator_kind {
    /* Puts the next value at g->out: 1; 0 the end, < 0 an error: it is not called again. NULL: it has a body. */
    int (*step)(weft_generator *g);
    int (*finish)(weft_generator *g); /* before it is freed, in any state: lets go of all it has; 0, or an error of clean-up */
    size_t (*memory)(const weft_generator *g); /* beside the object */
};

struct weft_generator {
    unsigned magic;
    uint8_t state;
    int result; /* 0 or the error, when it has ended */
    size_t item_size, object_size;
    void *out; /* the consumer's, while it is being stepped */
    const struct weft_generator_kind *kind;
    const char *name, *file;
    int line;
    struct weft_owned owned; /* by the group, or the body, in which it was made */
};

/* A generator in the first bytes of an object of that size, which is cleared otherwise. NULL with errno. */
weft_generator *weft_generator_make(const struct weft_generator_kind *kind, size_t item_size, size_t object_size);

/* As weft_generator_next_, for who has looked for a reason already. */
int weft_generator_step(weft_generator *g, void *value, size_t size);

#endif
