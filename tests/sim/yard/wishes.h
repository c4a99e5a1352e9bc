/*
 * wishes: what filters have wanted of leaving mail, and what must have come of it, beside a ledger:
 * each wish is made once or given up with a word; a result or an operator's change that came
 * meanwhile stands; what is given up is never tried again; a time is what the queue shows; mail is
 * tried when its time has come, whatever filters do; what a filter was asked about is in the store.
 *
 * Judged    At each event, each time a host takes mail, and at each look (wishes_look).
 * Crash     What was told of as stored is stored. A wish that was not told of yet may be lost.
 * Owns      Nothing: struct wish_book is the scenario's, zeroed by wishes_init.
 */
#pragma once

#include "ledger.h"

enum {
    WISHES_MADE_MS = 5000,  /* a wish is made, or given up, within */
    WISHES_WINDOW_MS = 300, /* what was told and not stored before a crash may be lost */
    WISHES_OPEN_MAX = 128,
    WISHES_ADDED_MAX = 512,
    WISHES_REPORTS_MAX = 1024,
    WISHES_RESULTS = 16,
    WISHES_SIDES = 2 /* filters that edit reports */
};

enum wish_kind { WISHES_DROP, WISHES_FAIL, WISHES_AGAIN, WISHES_TIME };

struct wish {
    bool is_open, was_shown_failed;
    enum wish_kind kind;
    unsigned number, at;
    int64_t asked_ms; /* the state that was shown is of then */
    int64_t said_ms, next_ms;
};

/* Of one recipient of the ledger. */
struct fate {
    int64_t due_ms;                     /* its next attempt, exactly; 0: nobody knows */
    int64_t due_since_ms;               /* when that was told */
    int64_t changed_ms;                 /* its state was changed by anything, at last */
    int64_t result_ms;                  /* by an attempt */
    int64_t results_ms[WISHES_RESULTS]; /* by attempts */
    int64_t operated_ms;                /* by an operator, and stored */
    bool is_durable;                    /* the due time was told as stored */
    bool is_given_up;                   /* by a filter, or its failure is not to be told of */
    bool is_uncertain;                  /* that is stored only when its life went on for a moment */
    unsigned unmade; /* wishes that were given up while others were open too: which is not said */
    int64_t revived_ms;   /* it had failed: what waits when its message is cancelled is others */
    bool may_be_given_up; /* a crash came in that moment */
    int64_t given_up_ms;
    unsigned given_up_life;
    bool untold[2]; /* of a failure, of a delay: the notice was dropped */
    bool is_shown, was_delivered, is_final;
    unsigned shown_attempts, shown_life;
};

/* A recipient that a filter has added. */
struct added {
    unsigned number, life, taken_life, taken;
    int64_t said_ms, taken_ms;
    bool is_added, is_refused, may_not;
};

/* A notice that filters were asked about. */
struct noticed {
    uint64_t hash;                /* of its Message-ID */
    unsigned edits[WISHES_SIDES]; /* the serial in the field that it was given; 0: none */
};

struct wish_book {
    struct sim_run *run;
    struct world *world;
    struct ledger *ledger;
    int64_t late_ms,
        cancel_ms; /* bounds: of an attempt after its time; of attempts after a cancel */
    struct fate fates[LEDGER_MAIL_MAX][LEDGER_RCPTS_MAX];
    int64_t cancelled_ms[LEDGER_MAIL_MAX]; /* in this life; 0: it is not */
    struct wish open[WISHES_OPEN_MAX];
    struct added added[WISHES_ADDED_MAX];
    unsigned added_count;
    struct noticed reports[WISHES_REPORTS_MAX];
    unsigned report_count;
    bool drop_said[LEDGER_MAIL_MAX];    /* of the notice that is being made */
    unsigned dsn_told[LEDGER_MAIL_MAX]; /* bits of recipients, in the latest question */
    unsigned dsn_failed[LEDGER_MAIL_MAX];
};

/* Recipients of a message whose jobs would be one are some milliseconds apart. */
static inline bool wishes_is_near(int64_t is_ms, int64_t wanted_ms)
{
    return is_ms >= wanted_ms && is_ms <= wanted_ms + LEDGER_RCPTS_MAX;
}

void wishes_init(struct wish_book *w, struct sim_run *run, struct ledger *l);
/* wishes_store.c. A life begins, with the server up: looks at what the store has. */
void wishes_begin(struct wish_book *w, struct machine *m);
void wishes_end(struct wish_book *w, bool crashed, int64_t at_ms);

struct fate *wishes_fate(struct wish_book *w, const struct ledger_rcpt *r, unsigned number);
/* When the result was known that left it with so many attempts. */
int64_t wishes_result_ms(const struct fate *fate, unsigned attempts);
void wishes_say(struct wish_book *w, const struct wish *wish);
/* The address of a new one, for message `number`; may_not: it must be refused. */
unsigned wishes_add(struct wish_book *w, unsigned number, bool may_not);
/* The notice with this Message-ID; made when there is none. */
struct noticed *wishes_report(struct wish_book *w, struct str message_id);

void wishes_told(struct wish_book *w, const char *event, const struct event_field *f, size_t n);
/* A host took it; true: it was an added recipient's, which the ledger does not know. */
bool wishes_took(struct wish_book *w, unsigned host, const struct play_message *mail);
void wishes_look(struct wish_book *w, struct machine *m, struct when by);
/* Around ledger_judge. */
void wishes_settle(struct wish_book *w);
void wishes_judge(struct wish_book *w);
