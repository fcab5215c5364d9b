/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The circle of a deadlock: a task waits for a lock that another holds, which joins a group, a task of which awaits the first.
 *
 * A search in depth over "has to go on before": each task is looked at once, however many wait for it, and the way to where the
 * search is lies in an array, not on the stack.
 */
#include "lib/task/report.h"

#include "lib/base/memory.h"

enum { UNSEEN, ON_THE_WAY, DONE_WITH };

struct step {
    weft_task *task;
    const weft_task *next; /* of its blockers: where the search went last */
};

static const weft_task *next_blocker(const weft_task *t, const weft_task *after)
{
    return t->wait && t->wait->blocker ? t->wait->blocker(t->wait, after) : NULL;
}

/* Searches from t on. The count of steps when the last one leads back to one on the way, which is then *ret_first; 0. */
static size_t search(weft_task *t, struct step *way, size_t *ret_first)
{
    size_t count = 0;
    way[count++] = (struct step){ .task = t };
    t->mark = ON_THE_WAY;
    while (count > 0) {
        struct step *step = &way[count - 1];
        weft_task *next = (weft_task *)(uintptr_t)next_blocker(step->task, step->next);
        if (!next) {
            step->task->mark = DONE_WITH;
            count--;
            continue;
        }
        step->next = next;
        if (next->mark == ON_THE_WAY) {
            size_t first = 0;
            while (way[first].task != next)
                first++;
            *ret_first = first;
            return count;
        }
        if (next->mark == UNSEEN) {
            next->mark = ON_THE_WAY;
            way[count++] = (struct step){ .task = next };
        }
    }
    return 0;
}

static void print_cycle(const struct step *steps, size_t count, FILE *out)
{
    fprintf(out, "a circle of %zu:\n", count);
    for (size_t i = 0; i < count; i++) {
        const weft_task *t = steps[i].task, *next = steps[(i + 1) % count].task;
        fprintf(out, "  %s started at %s:%d waits for: %s (%p)", t->name, t->file, t->line, t->wait->what, t->wait->on);
        if (t->wait->describe)
            t->wait->describe(t->wait, out);
        fprintf(out, "; so for %s\n", next->name);
    }
}

void weft_report_cycle(weft_loop *loop, FILE *out)
{
    size_t count = 0;
    LIST_EACH (node, &loop->tasks) {
        CONTAINER_OF(node, weft_task, all)->mark = UNSEEN;
        count++;
    }
    struct step *way = weft_mem_alloc((count + 1) * sizeof *way);
    if (!way)
        return; /* the list of tasks has been printed all the same */
    LIST_EACH (node, &loop->tasks) {
        weft_task *t = CONTAINER_OF(node, weft_task, all);
        size_t first = 0, length = t->mark == UNSEEN ? search(t, way, &first) : 0;
        if (length == 0)
            continue;
        print_cycle(way + first, length - first, out);
        break;
    }
    weft_mem_free(way);
}
