/*
 * flight: questions on the home loop: cache, joining, breaker, workers. Only lookup/ includes it.
 *
 * 1. A store that is away is asked nothing but one probe at a time, and not before away_until.
 * 2. A time-out says that the store is away only when it answered nobody since that question was
 *    taken up, and had most of its time: one slow statement, or a queue for a connection, does not
 *    close the store to the others.
 * 3. A question that may change something is never asked twice.
 */
#pragma once

#include "lookup/part.h"

/* Who has a question. One that was given up before it was answered is freed at home: the asker's
 * loop may have ended by then. */
enum question_at { QUESTION_ASKED, QUESTION_ANSWERED, QUESTION_GIVEN_UP };

struct question {
    struct post post; /* travels between the loops */
    struct link link; /* in its flight's askers */
    struct lookups *lookups;
    struct loop *loop;
    struct fiber *asker;
    struct arena arena;
    struct lookup_question asked;
    struct lookup_answer answer;
    struct err result;
    _Atomic int at;                /* enum question_at */
    bool is_answered, is_given_up; /* the asker's loop only */
};

/* On the home loop; never suspends. */
void question_take(struct question *q);
/* On the home loop: on its way back; it is no longer the home's. */
void question_back(struct question *q);
void question_free(struct question *q);
/* All that wait for a connection. */
void flights_fail(struct store *s, struct err e, struct str why);
void store_drop_if_over(struct store *s);
