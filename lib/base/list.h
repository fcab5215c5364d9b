/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Intrusive circular lists: a head is a node of its own; a node outside any list points at itself, so that removing it twice
 * does no harm.
 */
#ifndef WEFT_LIB_BASE_LIST_H
#define WEFT_LIB_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct weft_list {
    struct weft_list *next, *prev;
} weft_list;

#define CONTAINER_OF(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void weft_list_init(weft_list *l)
{
    l->next = l->prev = l;
}

static inline bool weft_list_is_empty(const weft_list *l)
{
    return l->next == l;
}

static inline void weft_list_append(weft_list *head, weft_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void weft_list_prepend(weft_list *head, weft_list *node)
{
    node->next = head->next;
    node->prev = head;
    head->next->prev = node;
    head->next = node;
}

/* Takes it out without making it a list of its own: for a node that is put elsewhere at once, or given back. */
static inline void weft_list_unlink(weft_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

static inline void weft_list_remove(weft_list *node)
{
    weft_list_unlink(node);
    weft_list_init(node);
}

/* Takes out the first node; NULL when there is none. */
static inline weft_list *weft_list_shift(weft_list *head)
{
    weft_list *node = head->next;
    if (node == head)
        return NULL;
    weft_list_remove(node);
    return node;
}

/* Moves all of `from` to the empty head `to`; `from` is empty afterwards. */
static inline void weft_list_move(weft_list *to, weft_list *from)
{
    if (weft_list_is_empty(from)) {
        weft_list_init(to);
        return;
    }
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    weft_list_init(from);
}

/* Appends all of `from` to the head `to`, in its order; `from` is empty afterwards. */
static inline void weft_list_append_all(weft_list *to, weft_list *from)
{
    if (weft_list_is_empty(from))
        return;
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    weft_list_init(from);
}

#define LIST_EACH(node, head) for (weft_list *node = (head)->next; node != (head); node = node->next)

#endif
