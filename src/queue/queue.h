/*
 * queue: what waits and why. Jobs, virtual queues with slots of their own, sites, fair turns, the
 * two times; and queue_accept, the only door for new mail.
 *
 * Threads   The queue is single-threaded, on a loop of its own; each of its steps is short. Its
 *           callers are on other loops: calls post to it, and those that wait say so.
 * Words     design section 3: message, recipient, job, virtual queue, slot, lane, site.
 * Ready     New mail may come in once store_ready has said OK and queue_serve runs: what is stored
 *           is loaded beside it, oldest first, and each job may start as soon as it is there.
 * Life      A job: waiting -> preparing -> ready -> running -> recorded. Delivery does the
 *           preparing and the running (struct queue_ops), with a struct work in hand; the queue
 *           decides when.
 * Owns      Every work belongs to the queue, except between the call of an op and its answer
 *           (queue_prepared, slot_next, slot_end, queue_noted), when delivery may read and fill it.
 * Promises  P2 P3 P4 P6 P7. A recipient is in at most one job; a running attempt's result decides
 *           over everything that happened to the recipient meanwhile.
 */
#pragma once

#include "config/setting.h"
#include "limit/limits.h"
#include "limit/quota.h"
#include "mail/envelope.h"
#include "runtime/loop.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct plan;     /* strategy/: the compiled configuration of queues and strategies */
struct asker;    /* strategy/ask.h: who performs look-ups */
struct decision; /* strategy/ */
struct queue;

/* Why a job waits; one table for `why`, the API, metrics and the watchdog. */
enum wait_reason {
#define REASON(name, text, prose) WAIT_##name,
#include "queue/reasons.def"
#undef REASON
    WAIT_COUNT
};
const char *wait_reason_name(enum wait_reason r);  /* "not-due" */
const char *wait_reason_prose(enum wait_reason r); /* a sentence */

/* One job in delivery's hands. */
struct work {
    struct post post; /* for its way between loops; delivery may use it while it has the work */
    struct queue *queue;
    uint64_t message;
    uint32_t first; /* lowest index: with `message` the job's id */
    uint32_t *to;   /* indices of its recipients in parcel->message.to */
    uint32_t to_count;
    struct parcel
        *parcel; /* one reference; NULL until prepared when the message was not in memory */
    struct pauses *pauses; /* to be asked while preparing (queue/pause.h); NULL: none */
    struct plan *plan;     /* the plan it was prepared under; one reference, taken by prepare */
    void *prepared;        /* delivery's: decisions, hosts */
    void (*prepared_free)(void *prepared);
    struct duration_list
        rests;              /* from the connection object: how long its site rests; may be empty */
    uint32_t turn_messages; /* likewise: how much of a slot's time it has; 0: as usual */
    int64_t turn_ms;
    struct rcpt_state *results; /* delivery's answer: to_count new states, version already risen */
    struct arena arena;         /* lives as long as the work; results' texts go here */
    bool expiring;              /* it was due only because its time is over (PY-20) */
    bool was_limited;           /* its note came while it waited for a limit */
    bool tells; /* delivery's: it wants to hear when its results are stored (queue_ops.recorded) */
    struct limit_key *limits; /* from prepare: what counts it; rules' names live in the plan */
    uint32_t limit_count;
    struct link link; /* for whoever holds it */
};

/* Recipients of a work that runs on, whose ends are known already: recorded now, so that a crash
 * repeats what was in flight and no more (P1, PY-37). Its own arena holds all it points to. */
struct work_part {
    struct post post;
    struct queue *queue;
    struct work *work;
    uint64_t message;
    uint32_t count;
    uint32_t *to;               /* indices in the message, rising */
    struct rcpt_state *results; /* final ones, version already risen */
    uint32_t first, to_count;   /* what is left of the work without them; to_count 0: nothing */
    struct arena arena;
};

/* What preparing came to. The message is no longer stored: RESULTS with to_count 0. */
enum prepared {
    PREPARED_READY,   /* `site` is filled; it may run */
    PREPARED_RESULTS, /* no connection needed: `results` are filled (null MX, expired, rejected) */
    PREPARED_WAIT     /* try again at `until`, for `reason`, no attempt spent */
};

struct slot; /* the right to have one connection at work */

enum { ACCEPT_LOOKUPS_MS = 5000 };

/* What main hands to the queue. All are called on the queue's loop and never suspend: they post to
 * a loop of delivery. */
struct queue_ops {
    void *ctx;
    /* Read the envelope if work->parcel is NULL (and fill `to` by job_members), evaluate route,
     * connection and tls, look up; then queue_prepared. */
    void (*prepare)(void *ctx, struct work *w);
    /* A slot for this work; then slot_next until it says none, or slot_end. */
    void (*run)(void *ctx, struct slot *s, struct work *w);
    /* `note` has come for a job that does not run: compute new states (notice owed, expired) into
     * work->results; then queue_noted. */
    void (*note)(void *ctx, struct work *w);
    /* Something is owed to the sender of this message and no job of it is at work: build one DSN,
     * queue_accept it together with the changes owed -> none, then queue_reported. When that
     * fails, try again later; what is owed is stored, so nothing is lost. */
    void (*report)(void *ctx, uint64_t message);
    /* The results of a work that `tells` are on stable storage and its recipients go on. Delivery
     * may read the work until queue_told; what is owed to the sender waits for that as for a job
     * at work, but no longer than usual. */
    void (*recorded)(void *ctx, struct work *w);
};

struct queue_options {
    uint64_t cache_bytes; /* store.cache: parcels kept for jobs that wait their first turn */
};

struct queue *queue_new(struct loop *home, struct store *store, const struct queue_ops *ops,
                        const struct queue_options *o);
/* The queue's loop: waits for the store, then walks it and serves meanwhile, until cancelled: no
 * new work starts, results still come in, until nothing runs. A walk that fails ends it as well. */
void queue_serve(struct queue *q);
void queue_free(struct queue *q);
/* Waits until all stored jobs are in memory. ERR_CANCELLED: the queue ended before. */
struct err queue_ready(struct queue *q, struct when by);
/* The plan that holds from now on, for queues and their slots. Takes one reference. */
void queue_use_plan(struct queue *q, struct plan *plan);

/* Who performs the look-ups of strategies at acceptance, and later in delivery: before the first
 * queue_accept; must outlive the queue. Without one each look-up fails. */
void queue_use_asker(struct queue *q, const struct asker *asker);

/* The door. Evaluates schedule and route for each recipient under `plan` (whose variables are all
 * true by now: source, size), with look-ups for ACCEPT_LOOKUPS_MS at most, after which they count
 * as failed (PY-46); fills the states, commits message and `changes` in one batch, and
 * puts the jobs into memory. OK means: on stable storage (P1). p->message.id was given by
 * store_new_id. ERR_QUOTA: one of its quotas has no room. Takes neither the caller's reference of p
 * nor that of plan; takes `body` (may be NULL). */
struct err queue_accept(struct queue *q, struct plan *plan, struct parcel *p,
                        struct store_body *body, const struct store_change *changes,
                        uint32_t change_count, struct when by);

/* A schedule strategy gave no answer and `default` serves: told once a minute for each name that
 * does not exist, or rule that failed. From any loop. */
void queue_schedule_fallback(struct queue *q, uint64_t message, struct str recipient,
                             const struct decision *d);

/* The one grouping function: indices of the waiting recipients that form the job whose lowest index
 * is `first`, into a. */
uint32_t job_members(const struct message *m, uint32_t first, struct arena *a, uint32_t **ret);

/* Answers, from delivery's loops. `site`: route name, a blank, next hop (strategy/). For WAIT:
 * reason, until, and a text that `why` shows. They never suspend. */
void queue_prepared(struct work *w, enum prepared how, struct str site, enum wait_reason reason,
                    struct date until, struct str text);
void queue_noted(struct work *w);
void queue_reported(struct queue *q, uint64_t message);
/* Takes back what `recorded` gave. */
void queue_told(struct work *w);

/* Hands back `done` with its results and asks for the next work of the same site under the same
 * plan. *ret NULL: the slot is given back; keep or close the connection. Never waits for long. */
struct err slot_next(struct slot *s, struct work *done, struct work **ret, struct when by);
/* Takes the part, made with MEM_NEW. The work stays delivery's; its last results, handed back
 * later, are those of the other recipients. */
void slot_part(struct slot *s, struct work_part *part);
/* The connection could not be had or was lost before a transaction was accepted: counts toward site
 * rest (why: one sentence); results may be NULL: then the work was not attempted, waits until the
 * rest is over and spends no attempt. Ends the slot. */
void slot_failed(struct slot *s, struct work *w, struct str why);
/* Ends the slot after `done`, when no further work is wanted. */
void slot_end(struct slot *s, struct work *done);
/* The connection has waited longer than slot_slow_after_ms for one event, and still does. The queue
 * answers by posting v->post back with `answer`; with v->close the connection shall be closed,
 * unless it has sent the end of data, and the slot ended by slot_cut. `v` is the caller's and must
 * live until then; the slot may have ended meanwhile, so it is not to be looked at. */
struct slow_slot {
    struct post post;
    struct loop *back;
    void (*answer)(struct post *p);
    struct slot *slot;
    bool close;
};
void slot_slow(struct slot *s, struct slow_slot *v, void (*answer)(struct post *p));
int64_t slot_slow_after_ms(const struct slot *s);
/* Ends the slot because the queue asked for it: `done` holds what was attempted all the same
 * (states unchanged where nothing was), the site rests with reason slow-limit. */
void slot_cut(struct slot *s, struct work *done);
/* A transaction was accepted; `slowest_ms` is the longest single wait in it: proves the site. Told
 * to the queue with the next exchange. */
void slot_accepted(struct slot *s, int64_t slowest_ms);

/* Limits that count connections to hosts: delivery asks before it opens one, and gives back when it
 * is closed. */
bool queue_limits_take(struct queue *q, struct limit_key *keys, uint32_t count,
                       struct limit_refusal *why, struct when by);
void queue_limits_give(struct queue *q, const struct limit_key *keys, uint32_t count);

/* What the queue knows of the jobs of some messages, for the admin, who walks the store: all their
 * jobs, in the order of `ids`, in the caller's arena. */
struct job_note {
    uint64_t message;
    uint32_t first, to_count;
    struct str queue, lane, site;
    struct date act, note;
    uint16_t attempts;
    const char *state; /* "waiting", "due", "preparing", "ready", "running", "recording" */
    bool is_loading;   /* not in memory yet: of all the message's recipients, and of them only
                          state and reason are known */
    enum wait_reason reason;
    struct date since; /* when what it waits for began to keep it; 0: when it came to be due */
    struct date until; /* of the wait; DATE_NEVER: nobody knows */
    struct str text;   /* what the reason is about: failure text, limit's name */
};
struct err queue_notes(struct queue *q, const uint64_t *ids, uint32_t id_count, struct arena *a,
                       struct job_note **ret, uint32_t *count, struct when by);

/* Each job with why it waits now, for `simulate` and metrics. `fn` runs on the queue's loop, is
 * short, and neither suspends nor calls the queue. */
struct job_sight {
    uint64_t message;
    uint32_t first, to_count;
    uint32_t queue; /* as queue_each numbers them */
    enum wait_reason reason;
};
struct err queue_visit(struct queue *q, void (*fn)(void *ctx, const struct job_sight *sight),
                       void *ctx, struct when by);

/* A pause from now on, when it is stored: ERR_EXISTS, ERR_LIMIT, the store's. Nothing that it
 * covers is tried after the answer, but for what runs. */
struct pause;
struct err queue_pause(struct queue *q, const struct pause *p, struct when by);
/* Ends it; what it kept is tried at once. ERR_NOT_FOUND. */
struct err queue_resume(struct queue *q, struct str name, struct when by);
/* Those of now; one reference, NULL when there is none. */
struct pauses *queue_pauses(struct queue *q, struct when by);

/* What is used of each quota, into `a`; and each key of them, by `fn`, which runs on the queue's
 * loop, is short, and neither suspends nor calls the queue. */
struct err queue_quotas(struct queue *q, struct arena *a, struct quota_sum **ret, uint32_t *count,
                        struct when by);
struct err queue_quota_visit(struct queue *q, void (*fn)(void *ctx, const struct quota_use *use),
                             void *ctx, struct when by);

/* How often each limiter of leaving mail has kept some back, into `a`. */
struct err queue_refusals(struct queue *q, struct arena *a, struct limit_count **ret,
                          uint32_t *count, struct when by);

struct queue_counts {
    uint64_t jobs, due, preparing, ready, running; /* now; the rest of jobs waits */
    uint64_t owed; /* messages whose sender is still to be told something */
    uint64_t accepted, delivered, deferred, failed, reports; /* since the start */
    uint64_t watchdog; /* jobs that could go on and did not for 2 s: must stay 0 */
    uint64_t looks;    /* how often its timers were looked at, since the start */
    uint64_t loading;  /* 1: what was stored at the start is not all in `jobs` yet */
};
struct err queue_count(struct queue *q, struct queue_counts *ret, struct when by);

/* Each virtual queue. */
struct queue_depth {
    struct str name;
    uint64_t slots, running, due, ready;
    bool orphan; /* no longer configured; served until empty */
    bool held;   /* keeps its mail without trying it */
};
struct err queue_each(struct queue *q, struct arena *a, struct queue_depth **ret, uint32_t *count,
                      struct when by);
