/*
 * part: what the files of delivery/ share: a loop's state, a prepared job, and what became of a
 * recipient. Nobody else includes it.
 */
#pragma once

#include "base/addr.h"
#include "base/list.h"
#include "delivery/delivery.h"
#include "mail/envelope.h"
#include "queue/queue.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "strategy/ask.h"

#include <stdatomic.h>

struct filters;
struct pick;
struct tls_client;

/* See shun.c. */
enum { SHUNNED_MAX = 64, SHUN_MS = 5 * 60 * 1000 };
struct shunned {
    struct addr at;
    struct when until;
};

/* One of delivery's loops; only that loop touches it, but for the counters. */
struct delivery_loop {
    struct delivery *d;
    struct loop *loop;
    struct group group;
    struct plan *plan;
    struct filters *filters; /* filters.h; NULL: none */
    uint32_t asking;         /* fibers that ask filters about attempts */
    struct list idle;        /* struct peer_link, longest idle first */
    uint32_t idle_count;
    bool is_sweeping; /* the fiber that ends idle connections lives */
    struct list runs; /* struct vigil: slots at work here */
    uint64_t run_serial;
    struct shunned shunned[SHUNNED_MAX]; /* could not be spoken to lately */
    uint32_t shunned_count;
    struct when limiter_told; /* a limiter whose match gave no value is told once a minute */
    bool is_watching;         /* the fiber that looks for slow ones lives */
    struct tls_client *opportunistic, *verified; /* made when first wanted */
    atomic_ullong connections, reuses, transactions, delivered, deferred, failed, idle_now, unasked;
};

struct delivery {
    struct delivery_options options;
    struct queue *queue;
    struct delivery_loop *loops;
    struct queue_ops ops;
    uint32_t turn; /* the queue's loop only */
};

/* How long the look-ups of one job may take in all, for its strategies or its results. */
enum { LOOKUPS_MS = 60 * 1000 };

/* ---- what became of a recipient ---- */

/* In this order a later host's answer is preferred to an earlier one's: what is final stays
 * (PY-07), and a failure for now outranks a host that can never be reached (PY-08). */
enum outcome_kind {
    OUTCOME_NONE,        /* not asked: no attempt is spent */
    OUTCOME_HOST_FAILED, /* for good, but only by this host */
    OUTCOME_LATER,       /* for now */
    OUTCOME_LATER_REPLY, /* for now, in the host's own words */
    OUTCOME_FAILED,      /* for good */
    OUTCOME_DONE
};

struct outcome {
    enum outcome_kind kind;
    bool is_relayed; /* of DONE: the peer takes no DSN parameters (PY-42) */
    bool is_untimed; /* of DONE: the peer takes no DELIVERBY */
    bool is_local;   /* of DONE: final delivery */
    bool is_ours;    /* of LATER: our own fault; the host is not blamed */
    bool is_last;    /* of LATER: the content was sent; no other host is asked in this attempt */
    enum last_error error;
    uint16_t code;
    struct enhanced esc;
    struct str text, host;
};

static inline bool outcome_is_final(const struct outcome *o)
{
    return o->kind >= OUTCOME_FAILED || o->is_last;
}

/* Keeps what counts more. */
void outcome_add(struct outcome *o, const struct outcome *more);
/* "5.4.6" and the like for an outcome that was no reply. */
struct outcome outcome_of(enum outcome_kind kind, enum last_error error, const char *status,
                          struct str text, struct str host);

/* ---- a prepared job ---- */

struct host {
    struct str name;
    uint16_t preference;
    struct addr *addrs;
    size_t addr_count;
    struct outcome failure; /* when it has no address */
};

struct job {
    struct delivery_loop *l;
    struct work *work;
    struct slot *slot; /* while it runs */
    const struct plan_route *route;
    struct str domain; /* the next hop of an mx route; empty for others */
    struct host *hosts;
    size_t host_count;
    bool is_decided;
    struct expr_answers *answers; /* of look-ups while preparing, for its strategies */
    /* One for each recipient of the work. Late decisions are made again for each host. */
    const struct plan_connection **connections;
    const struct plan_tls **tls;
    struct outcome *outcomes;
    struct pick *picks; /* of filters, one for each recipient; NULL: none (filters.h) */
    struct date
        limited_until; /* a limit kept a host from being connected to; limited_by names it */
    struct str limited_by;
    bool *recorded; /* by results_part: their ends are the queue's already; NULL: none */
    /* Those, where filters are to hear of them with the others: their new states. */
    uint32_t *part_to;
    struct rcpt_state *part_states;
    uint32_t part_count;
};

static inline struct job *job_of(const struct work *w)
{
    return w->prepared;
}

static inline const struct recipient *job_recipient(const struct job *j, uint32_t at)
{
    return &j->work->parcel->message.to[j->work->to[at]];
}

/* ---- the parts ---- */

/* prepare.c: on the job's loop. The first never suspends and answers false when waiting is needed.
 */
bool prepare_at_once(struct job *j);
void prepare_fiber(void *job);
/* Envelope and recipients, from the store if need be. */
struct err envelope_read(struct work *w, struct store *s, struct when by);

/* paused.c: true when a pause covers the job, or a part of it: it was answered. */
bool answer_paused(struct job *j);

/* hosts.c: fills j->hosts from route and domain. False: the job waits or is answered; *ret is the
 * outcome for all its recipients (NONE: given up, cancelled). */
bool hosts_known(struct job *j); /* without waiting */
bool hosts_find(struct job *j, struct outcome *ret, struct when by);

/* shun.c */
void shun(struct delivery_loop *l, const struct addr *at);
void shun_no_more(struct delivery_loop *l, const struct addr *at);
void shun_order(struct job *j); /* its hosts and their addresses, for this attempt */

/* run.c */
void run_fiber(void *job);
bool tls_is_stronger(const struct plan_tls *a, const struct plan_tls *b);

/* vigil.c: a slot at work under watch. Its connection is slow when the fiber has waited longer than
 * the queue's slow-after for one event; the queue is told, and may want it closed. */
struct vigil {
    struct link link; /* in l->runs */
    struct fiber *fiber;
    struct slot *slot;
    uint64_t serial;
    const bool *sent; /* the end of data of what is under way; NULL: nothing is */
    bool told, cut;
    bool ours; /* what it waits for is a look-up of ours, not the host */
};
void vigil_begin(struct delivery_loop *l, struct vigil *v, struct slot *slot);
void vigil_end(struct vigil *v);

/* The first decision that is no decision: the job waits. */
void job_waits(struct job *j, enum wait_reason reason, int64_t ms, struct str text);

/* result.c: outcomes -> work->results, and one event for each recipient. What results_part has
 * handed over leaves the work. */
void results_of(struct job *j, int64_t duration_us, struct when by);
/* While the job runs on: hands the ends that are known to the queue, which records them now. */
void results_part(struct job *j, int64_t duration_us);
/* A copy of the recipient's state that may be changed: version risen. */
struct rcpt_state state_next(const struct recipient *r);
/* Gives up: status and what is owed. */
void state_fail(const struct message *m, const struct recipient *r, struct rcpt_state *s);
/* NULL: the fiber was cancelled while a look-up was waited for. */
const struct schedule *schedule_of(struct job *j, const struct recipient *r, struct asking *k,
                                   struct when by);

/* limits.c: fills work->limits. */
void job_limits(struct job *j);
/* What is stored of a recipient that a limit held back; no limiter: to the end of its time. */
struct last_result limited_result(struct str limiter, struct arena *a);

/* note.c: as in prepare.c. */
bool note_at_once(struct job *j);
void note_fiber(void *job);
/* The server stops: the clock comes again after the next start. */
void note_given_up(struct job *j);

/* report.c */
struct report {
    struct post post;
    struct delivery_loop *l;
    uint64_t message;
};
void report_fiber(void *report);
/* The server stops: what is owed is stored, and told after the next start. */
void report_given_up(struct report *r);

/* pipe.c: one run of the program for each recipient of the job; fills the outcomes. */
void pipe_deliver(struct job *j, struct when by);
/* maildir.c: one copy for each recipient of the job; fills the outcomes. */
void maildir_deliver(struct job *j, struct when by);
