/*
 * registry_part: the inside of registry.h, shared by registry.c (state and fiber), registry_talk.c
 * (the exchanges) and registry_enter.c (those who ask).
 */
#pragma once

#include "base/list.h"
#include "hooks/registry.h"
#include "runtime/loop.h"

#include <stdatomic.h>

struct registry {
    struct link link;
    struct registries *all;
    atomic_uint refs;
    struct arena arena; /* of the options */
    struct registry_options o;
    struct fetch_target target;
    struct fetch_pool *pool;
    struct signal changed;

    bool is_starting, is_lost, is_wanted, is_retired;
    bool is_marked; /* the newest configuration has it */
    bool is_done;   /* its fiber has nothing to give any more */
    bool has_pass;
    struct arena held; /* of pass and deregistration */
    struct registry_pass pass;
    struct str deregistration; /* absolute; empty: there is none */
    struct date renew;         /* DATE_NEVER: it does not end */
    struct buf why;            /* of the last failure */
    unsigned failures;         /* in a row, that may pass */
    struct list waiting;       /* tickets */
};

struct registries {
    struct loop *home;
    registry_told_fn *told;
    void *ctx;
    struct list all;
    struct group fibers, farewells;
};

/* registry_talk.c */

enum registry_result { REGISTRY_OK, REGISTRY_MAY_PASS, REGISTRY_REFUSED, REGISTRY_CANCELLED };

/* Discovery and registration: what was agreed on goes to *ret in `a`; *retry_ms: what the other
 * side asked for. */
struct registry_news {
    struct registry_pass pass;
    struct str deregistration;
    int64_t retry_ms;
};
enum registry_result registry_ask(struct registry *r, struct arena *a, struct registry_news *ret,
                                  struct buf *why, struct when by);
/* The status now. */
enum registry_result registry_poll(struct registry *r, enum registry_status *ret, struct when by);
/* Gives the registration back; whether that was heard. */
bool registry_give_back(struct registry *r, struct when by);

/* registry_enter.c */

/* Answers those of the waiting that can be answered now. */
void registry_answer(struct registry *r);
