/*
 * part: what the files of this folder share; nobody else includes it.
 *
 * A question is asked in the asker's fiber, carried to the resolver's home loop, given to the
 * library there, and carried back. It belongs to the home until `answered` has run on the asker's
 * loop, then to the asker, or to nobody when the asker has given up: then `answered` frees it.
 */
#pragma once

#include "base/list.h"
#include "dns/dns.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

#include <stdatomic.h>

struct ub_result;
struct ub_ctx;
struct watch;

struct dns {
    struct dns_sim sim; /* fn NULL: real */
    int64_t timeout_ms;

    struct loop *home;
    struct ub_ctx *ctx;
    struct watch *watch;
    struct group pump;
    struct list under_way; /* questions in the library; the home's */
    unsigned under_way_count;
};

/* A question that was given up before its answer came is freed at home: the asker's loop may have
 * ended by then, and what is posted to it never runs. */
enum question_at { QUESTION_ASKED, QUESTION_ANSWERED, QUESTION_GIVEN_UP };

struct question {
    struct post post; /* first: travels between the loops */
    struct link link;
    struct dns *dns;
    struct loop *asker_loop;
    struct fiber *asker;
    enum dns_type type;
    struct when until;             /* resolver.timeout, from the start */
    int error;                     /* the library's, when there is no result */
    struct ub_result *result;      /* ours to free */
    _Atomic int at;                /* enum question_at */
    bool is_answered, is_given_up; /* the asker's loop only */
    char name[DNS_NAME_MAX + 2];
};

/* Never suspends: puts the question on its way. */
struct question *question_start(struct dns *d, struct str name, enum dns_type type);
/* Takes the question, whatever happens. */
struct err question_finish(struct question *q, struct arena *a, struct dns_answer *ret,
                           struct when by);
void question_give_up(struct question *q);
