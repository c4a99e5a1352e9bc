/*
 * list: a doubly linked ring threaded through the things it holds. Owns nothing.
 *
 * A zeroed link is in no list; list_remove is harmless then. A head must be list_init'ed.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *next, *prev;
};

struct list {
    struct link ring;
};

static inline void list_init(struct list *l)
{
    l->ring.next = l->ring.prev = &l->ring;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->ring.next == &l->ring;
}

static inline bool link_is_in(const struct link *k)
{
    return k->next != NULL;
}

static inline void link_insert_before(struct link *at, struct link *k)
{
    must(k->next == NULL);
    k->next = at;
    k->prev = at->prev;
    at->prev->next = k;
    at->prev = k;
}

static inline void list_push(struct list *l, struct link *k) /* at the end */
{
    link_insert_before(&l->ring, k);
}

static inline void list_push_front(struct list *l, struct link *k)
{
    link_insert_before(l->ring.next, k);
}

static inline void list_remove(struct link *k)
{
    if (k->next != NULL) {
        k->next->prev = k->prev;
        k->prev->next = k->next;
        k->next = k->prev = NULL;
    }
}

static inline struct link *list_first(const struct list *l) /* NULL when empty */
{
    return list_is_empty(l) ? NULL : l->ring.next;
}

static inline struct link *list_last(const struct list *l)
{
    return list_is_empty(l) ? NULL : l->ring.prev;
}

static inline struct link *list_next(const struct list *l, const struct link *k)
{
    return k->next == &l->ring ? NULL : k->next;
}

static inline struct link *list_pop(struct list *l) /* the first, removed; NULL when empty */
{
    struct link *k = list_first(l);

    if (k != NULL) {
        list_remove(k);
    }
    return k;
}

#define LIST_EACH(l, k) for (struct link *k = list_first(l); k != NULL; k = list_next((l), k))
