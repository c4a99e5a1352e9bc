/*
 * ledger: every message of a run, what its client was answered, and what became of each recipient;
 * and the judgement: nothing that was answered 250 is lost, nothing is delivered twice but what P1
 * allows, nothing is told twice, nothing arrives changed.
 *
 * Names     Message 7's recipients are r7x0@…, r7x1@… and its sender s7@home-3.example, so that
 *           each address names its message. Its content is made from its number alone.
 * Twice     A recipient may be served again (P1) when no answer to the time before was seen, or
 *           when its result was at most LEDGER_WINDOW_MS old at a crash, or when the store could
 *           no longer write results then.
 * Owns      Its book, until ledger_done.
 */
#pragma once

#include "client.h"

enum {
    LEDGER_MAIL_MAX = 260,
    LEDGER_RCPTS_MAX = 6,
    LEDGER_REPORTS_MAX = 12,
    LEDGER_LIVES_MAX = 8,
    LEDGER_ADDRESS_MAX = 48,
    LEDGER_HOME = 3
};

struct ledger_rcpt {
    char address[LEDGER_ADDRESS_MAX];
    unsigned taken;   /* times a host has taken it */
    unsigned dropped; /* a failure that nobody can be told of */
    bool is_done;     /* the server has seen the answer to the latest time */
    bool cancelled;   /* by an operator, on stable storage */
    unsigned done_life;
    int64_t done_ms;
    unsigned failed, delayed; /* different reports that say so */
};

struct ledger_mail {
    uint64_t size;
    enum answered fate;
    bool has_sender;
    unsigned to_count;
    struct ledger_rcpt to[LEDGER_RCPTS_MAX];
    uint64_t reports[LEDGER_REPORTS_MAX]; /* hashes of their ids */
    unsigned report_count;
};

struct ledger_life {
    int64_t crash_ms; /* INT64_MAX: it stopped in order */
    int64_t blind_ms; /* from then on the store could write no result; INT64_MAX: never */
};

struct ledger {
    struct sim_run *run;
    uint64_t seed;
    struct ledger_mail *mail; /* LEDGER_MAIL_MAX */
    unsigned count;           /* sent so far, or tried to */
    struct ledger_life lives[LEDGER_LIVES_MAX];
    unsigned life;
    int64_t window_ms; /* of results that a crash may forget */
    bool has_rotten;   /* bits of the store have rotten: what it names as damaged may be lost */
    uint64_t damaged;  /* what it named */
    unsigned again;    /* served again, and rightly */
};

void ledger_init(struct ledger *l, struct sim_run *run, int64_t window_ms);
void ledger_done(struct ledger *l);

/* The next message, made up; its number. */
unsigned ledger_write(struct ledger *l, const char *const *domains, unsigned domain_count,
                      uint64_t random);
/* The recipient with this address, and its message's number; NULL: none of ours. */
struct ledger_rcpt *ledger_rcpt(struct ledger *l, struct str address, unsigned *number);
/* Its envelope and content, for a client. */
void ledger_mail(const struct ledger *l, unsigned number, struct buf *to, struct buf *content,
                 char from[LEDGER_ADDRESS_MAX]);

/* A client of this life: writes messages and sends them, one after the other, until `upto` are in the
 * book or the machine is no more, and notes what it was answered. Runs in a fiber of its own. */
struct ledger_client {
    struct ledger *ledger;
    const char *const *domains;
    unsigned domain_count, upto;
    int64_t pause_ms; /* at most, between two */
    bool leaves;      /* its connection, now and then */
};
void ledger_client(struct machine *m, const struct ledger_client *k);

/* A host took something; the server said something. */
void ledger_took(struct ledger *l, unsigned host, const struct play_message *mail);
void ledger_told(struct ledger *l, const char *event, const struct event_field *f, size_t n);
/* A life is over, at that date. */
void ledger_life_ended(struct ledger *l, bool crashed, int64_t at_ms);
/* At the very end, when nothing is queued. */
void ledger_judge(struct ledger *l);
