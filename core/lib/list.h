/* An intrusive doubly linked list; a head is a node that belongs to no object. */
#pragma once

#include "core/lib/types.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Puts node in front of pos; with pos the head, that is the end of the list. */
static inline void list_insert(struct list *pos, struct list *node)
{
    node->next = pos;
    node->prev = pos->prev;
    pos->prev->next = node;
    pos->prev = node;
}

/* Takes node out and leaves it an empty list, so that removing it twice does no harm. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define LIST_FOR_EACH(node, head) for (struct list *node = (head)->next; node != (head); node = node->next)
