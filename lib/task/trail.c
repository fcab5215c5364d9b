/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The trail of an error: where it failed first, its words, and the places it passed on its way up.
 *
 * Notes come from ever higher frames as an error is handed up, so a note from a frame below the last one, or one that repeats
 * the last place, begins a new trail. It is made on the first failure of a task, moves with the error into the group and to
 * whoever joins or awaits, and costs nothing where nothing fails.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/task/task.h"

enum { PLACES = 10, WORDS = 160, LINE = 1024 };

struct place {
    const char *file;
    int line;
};

struct weft_trail {
    int error;
    int count;       /* places passed; those past PLACES replace the latest */
    uintptr_t frame; /* of the latest note; 0 when it came from another task */
    struct place places[PLACES];
    char words[WORDS];
    char line[LINE]; /* what weft_error_trail returned */
};

void weft_trail_free(struct weft_trail *trail)
{
    if (trail)
        weft_mem_free(trail);
}

void weft_trail_adopt(weft_task *t, struct weft_trail *trail)
{
    if (!trail)
        return;
    weft_trail_free(t->trail);
    t->trail = trail;
    trail->frame = 0; /* the frames of another stack say nothing here */
}

struct weft_trail *weft_trail_copy(const struct weft_trail *trail)
{
    struct weft_trail *copy = trail ? weft_mem_alloc(sizeof *copy) : NULL;
    if (copy)
        *copy = *trail;
    return copy;
}

bool weft_trail_begins_as(const struct weft_trail *a, const struct weft_trail *b)
{
    return a && b && a->error == b->error && a->count > 0 && b->count > 0 && a->places[0].line == b->places[0].line &&
           a->places[0].file == b->places[0].file && strcmp(a->words, b->words) == 0;
}

static bool goes_on(const struct weft_trail *trail, int error, struct place place, uintptr_t frame)
{
    if (trail->error != error || trail->count == 0)
        return false;
    int last = trail->count < PLACES ? trail->count - 1 : PLACES - 1;
    if (trail->places[last].line == place.line && trail->places[last].file == place.file)
        return false;
    return frame >= trail->frame;
}

static struct weft_trail *begin(weft_task *t, int error)
{
    if (!t->trail)
        t->trail = weft_mem_alloc(sizeof *t->trail);
    if (!t->trail)
        return NULL; /* no trail, then: the error itself is not lost */
    t->trail->error = error;
    t->trail->count = 0;
    t->trail->frame = 0;
    t->trail->words[0] = t->trail->line[0] = '\0';
    return t->trail;
}

static void add(struct weft_trail *trail, struct place place, uintptr_t frame)
{
    int at = trail->count < PLACES ? trail->count : PLACES - 1;
    trail->places[at] = place;
    trail->count++;
    trail->frame = frame;
}

int weft_note_(int error, const char *file, int line)
{
    weft_task *t = weft_task_self();
    if (!t || error >= 0)
        return error;
    if (error == WEFT_ECANCELED && t->reason == error) {
        weft_scope *origin = weft_scope_origin(t);
        weft_group *g = origin ? weft_scope_group(origin) : NULL;
        if (g && weft_scope_own(origin)->has_failed && g->result < 0) {
            if (weft_group_own(g)->trail)
                add(weft_group_own(g)->trail, (struct place){ file, line }, 0);
            return g->result; /* the cause, not its effect; its trail comes to this task at the end of the group */
        }
    }
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    struct place place = { file, line };
    struct weft_trail *trail = t->trail;
    if (!trail || !goes_on(trail, error, place, frame))
        trail = begin(t, error);
    if (trail)
        add(trail, place, frame);
    return error;
}

struct words {
    char *into;
    const char *format;
    va_list *args;
};

static void format_words(void *arg)
{
    struct words *w = arg;
    vsnprintf(w->into, WORDS, w->format, *w->args);
}

int weft_fail_(const char *file, int line, int error, const char *format, ...)
{
    weft_task *t = weft_task_self();
    struct weft_trail *trail = t ? begin(t, error) : NULL;
    if (!trail)
        return error;
    va_list args;
    va_start(args, format);
    struct words words = { trail->words, format, &args };
    weft_on_loop_stack(format_words, &words);
    va_end(args);
    add(trail, (struct place){ file, line }, (uintptr_t)__builtin_frame_address(0));
    return error;
}

const char *weft_trail_format(const struct weft_trail *trail, char *buf, size_t size)
{
    buf[0] = '\0';
    if (!trail || trail->count == 0)
        return buf;
    int kept = trail->count < PLACES ? trail->count : PLACES;
    int n = snprintf(buf, size, "%s:%d: %s%s%s", trail->places[0].file, trail->places[0].line, trail->words,
                     trail->words[0] ? ": " : "", weft_strerror(trail->error));
    for (int i = 1; i < kept && n > 0 && (size_t)n < size; i++) {
        const char *before = i == 1 ? "; passed" : i == PLACES - 1 && trail->count > PLACES ? " ..." : "";
        n += snprintf(buf + n, size - (size_t)n, "%s %s:%d", before, trail->places[i].file, trail->places[i].line);
    }
    return buf;
}

struct line_request {
    struct weft_trail *trail;
};

static void format_line(void *arg)
{
    struct weft_trail *trail = ((struct line_request *)arg)->trail;
    weft_trail_format(trail, trail->line, sizeof trail->line);
}

const char *weft_error_trail(void)
{
    weft_task *t = weft_task_self();
    if (!t || !t->trail)
        return "";
    weft_on_loop_stack(format_line, &(struct line_request){ t->trail });
    return t->trail->line;
}
