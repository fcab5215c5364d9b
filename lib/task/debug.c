/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Two tables: of places, each a line of the program where objects of one kind are made or a kind of mistake is, and of the
 * objects that are there now, by address, each with its place. An object that is made where another one still lies was lost:
 * it is counted for its place, and the new one takes its place. When memory is out what is made from then on is not watched,
 * and the report says so.
 */
#include "lib/task/debug.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"

enum { FIRST_ROOM = 64, PLACE_SLOTS = 256 };

struct place {
    struct place *next; /* of its slot */
    struct place *newer;
    const char *what, *file;
    int line;
    size_t live, lost; /* objects */
    size_t mistakes;
};

struct entry {
    const void *object; /* NULL: free */
    struct place *place;
};

struct weft_debug {
    struct place *slots[PLACE_SLOTS];
    struct place *oldest, **newest;
    struct entry *entries;
    size_t room, count; /* the room is a power of two, at least twice the count */
    size_t mistakes;
    bool has_overlooked; /* memory was out */
};

bool weft_debug_is_asked_for(void)
{
    const char *value = getenv("WEFT_DEBUG");
    return value && strcmp(value, "1") == 0;
}

struct weft_debug *weft_debug_open(void)
{
    struct weft_debug *debug = weft_mem_calloc(1, sizeof *debug);
    if (debug)
        debug->newest = &debug->oldest;
    return debug;
}

void weft_debug_close(struct weft_debug *debug)
{
    for (struct place *place = debug->oldest, *newer; place; place = newer) {
        newer = place->newer;
        weft_mem_free(place);
    }
    if (debug->entries)
        weft_mem_free(debug->entries);
    weft_mem_free(debug);
}

size_t weft_debug_mistakes(const struct weft_debug *debug)
{
    return debug->mistakes;
}

/* ---- places ---- */

/* NULL when memory is out. */
static struct place *place_of(struct weft_debug *debug, const char *what, const char *file, int line)
{
    size_t slot = ((uintptr_t)what / 16 + (uintptr_t)file / 16 + (size_t)line) % PLACE_SLOTS;
    for (struct place *place = debug->slots[slot]; place; place = place->next)
        if (place->what == what && place->file == file && place->line == line)
            return place;
    struct place *place = weft_mem_alloc(sizeof *place);
    if (!place) {
        debug->has_overlooked = true;
        return NULL;
    }
    *place = (struct place){ .next = debug->slots[slot], .what = what, .file = file, .line = line };
    debug->slots[slot] = place;
    *debug->newest = place;
    debug->newest = &place->newer;
    return place;
}

/* ---- objects ---- */

static size_t slot_of(const struct weft_debug *debug, const void *object)
{
    return ((uintptr_t)object * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (debug->room - 1);
}

/* Where it is, or would be. */
static size_t find(const struct weft_debug *debug, const void *object)
{
    size_t at = slot_of(debug, object);
    while (debug->entries[at].object && debug->entries[at].object != object)
        at = (at + 1) & (debug->room - 1);
    return at;
}

static bool grow(struct weft_debug *debug)
{
    struct entry *former = debug->entries;
    size_t former_room = debug->room, room = former_room ? 2 * former_room : FIRST_ROOM;
    struct entry *entries = weft_mem_calloc(room, sizeof *entries);
    if (!entries) {
        debug->has_overlooked = true;
        return false;
    }
    debug->entries = entries;
    debug->room = room;
    for (size_t i = 0; i < former_room; i++)
        if (former[i].object)
            entries[find(debug, former[i].object)] = former[i];
    if (former)
        weft_mem_free(former);
    return true;
}

void weft_debug_add(struct weft_debug *debug, const void *object, const char *what, const char *file, int line)
{
    struct place *place = place_of(debug, what, file, line);
    if (!place || (2 * (debug->count + 1) > debug->room && !grow(debug)))
        return;
    struct entry *entry = &debug->entries[find(debug, object)];
    if (entry->object) {
        entry->place->live--;
        entry->place->lost++;
    } else {
        debug->count++;
    }
    *entry = (struct entry){ object, place };
    place->live++;
}

void weft_debug_remove(struct weft_debug *debug, const void *object)
{
    if (debug->count == 0)
        return;
    size_t at = find(debug, object), mask = debug->room - 1;
    if (!debug->entries[at].object)
        return; /* made before the loop was, or overlooked */
    debug->entries[at].place->live--;
    debug->count--;
    for (size_t next = (at + 1) & mask; debug->entries[next].object; next = (next + 1) & mask) {
        size_t home = slot_of(debug, debug->entries[next].object);
        if (((next - home) & mask) < ((next - at) & mask))
            continue; /* it would come before its home */
        debug->entries[at] = debug->entries[next];
        at = next;
    }
    debug->entries[at] = (struct entry){ NULL, NULL };
}

bool weft_debug_find(const void *object, const char **ret_file, int *ret_line)
{
    const struct weft_debug *debug = weft_here ? weft_here->debug : NULL;
    const struct entry *entry = debug && debug->count > 0 ? &debug->entries[find(debug, object)] : NULL;
    if (!entry || !entry->object)
        return false;
    *ret_file = entry->place->file;
    *ret_line = entry->place->line;
    return true;
}

/* ---- reports ---- */

void weft_debug_mistake(const char *words, const char *name, const char *file, int line, const char *more)
{
    struct weft_debug *debug = weft_here->debug;
    struct place *place = place_of(debug, words, file, line);
    debug->mistakes++;
    if (place && ++place->mistakes > 1)
        return;
    weft_log(WEFT_LOG_WARNING, "debug: %s %s:%d %s%s", name, file, line, words, more);
}

void weft_debug_check_read(const weft_task *t)
{
    char name[200], more[700] = "";
    bool is_reason = t->result == WEFT_ECANCELED || t->result == WEFT_EDEADLINE;
    bool was_cut = t->own_reason || weft_scope_own(&t->group->scope)->reason;
    bool has_failed = t->result < 0 && !(is_reason && was_cut);
    if (t->has_handle ? is_reason && was_cut : !has_failed || t->result == t->group->result)
        return;
    snprintf(name, sizeof name, "task %s started at", t->name);
    if (has_failed) {
        char trail[600];
        weft_trail_format(t->trail, trail, sizeof trail);
        snprintf(more, sizeof more, ", and failed: %s", *trail ? trail : weft_strerror(t->result));
    }
    weft_debug_mistake(t->has_handle ? "was never awaited" : "was never asked for", name, t->file, t->line, more);
}

static void report_place(struct weft_debug *debug, const struct place *place)
{
    size_t count = place->live + place->lost;
    if (place->mistakes > 1)
        weft_log(WEFT_LOG_WARNING, "debug: %zu more times: %s:%d %s", place->mistakes - 1, place->file, place->line,
                 place->what);
    if (count == 0)
        return;
    debug->mistakes += count;
    if (count == 1)
        weft_log(WEFT_LOG_WARNING, "debug: %s made at %s:%d was not given back", place->what, place->file, place->line);
    else
        weft_log(WEFT_LOG_WARNING, "debug: %zu times %s made at %s:%d was not given back", count, place->what, place->file,
                 place->line);
}

void weft_debug_report(weft_loop *loop)
{
    struct weft_debug *debug = loop->debug;
    for (const struct place *place = debug->oldest; place; place = place->newer)
        report_place(debug, place);
    if (debug->has_overlooked)
        weft_log(WEFT_LOG_WARNING, "debug: memory was out: not all was watched");
}
