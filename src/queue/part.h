/*
 * part: the queue's inside, shared by its files: queue.c (life of jobs), record.c (results),
 * serve.c (start, timers, end), accept.c (the door), ask.c (admin's questions). For files of queue/
 * only. Everything here runs on the queue's loop.
 */
#pragma once

#include "limit/bucket.h"
#include "queue/act.h"
#include "queue/chains.h"
#include "queue/events.h"
#include "queue/job.h"
#include "queue/pause.h"
#include "queue/queue.h"
#include "queue/shares.h"
#include "queue/turns.h"
#include "strategy/strategy.h"

enum {
    ORPHAN_SLOTS = 5,
    SLOT_MESSAGES_MAX = 20,
    SLOT_MS_MAX = 1000,
    STORE_AGAIN_MS = 1000,
    LANES_SHARED = 256
};

/* Lanes of a virtual queue: made on demand, forgotten when empty. Beyond `max` named ones further
 * names share LANES_SHARED, by hash. */
struct lanes {
    struct map by_name;
    struct lane unnamed;
    struct lane **shared; /* LANES_SHARED of them, once there is one */
    uint32_t max;
};

/* One virtual queue. Its number is its own while it has a name; an orphan that is empty loses it,
 * and its place goes to the next new name. */
struct vqueue {
    char *name; /* NULL: a place that is free */
    uint16_t number;
    uint32_t jobs; /* whatever their state */
    uint32_t slots, running;
    bool orphan; /* no longer configured: served with ORPHAN_SLOTS until empty */
    bool held;   /* keeps its mail without trying it */
    struct date held_since;
    bool paused;      /* by an operator: attempts wait, clocks go on */
    struct rate rate; /* of messages that start */
    struct bucket bucket;
    struct heap_node
        rate_timer; /* in queue->rate_timers while it waits for its rate; keyed by ns */
    struct lanes lanes;
    const struct plan_queue *planned; /* in queue->plan; NULL: an orphan */
    struct turns due, ready;          /* wait for room in the ready set; wait for a slot */
    uint32_t in_hand;                 /* preparing and ready: the ready set */
    struct shares shares;
    bool is_overfull;          /* the ready set may hold more of some than their shares are now */
    const struct job *suspect; /* the watchdog saw it wait while it should have gone on */
    struct when suspect_since;
};

/* When a fallback was told last; of names that share a place the latest is known. */
enum { FALLBACK_NOTES = 64 };
struct fallback_note {
    _Atomic uint64_t name; /* its hash */
    _Atomic int64_t until_ns;
};

struct ended {
    uint64_t message;
    uint32_t index;
};

struct queue {
    struct loop *home;
    struct store *store;
    struct queue_ops ops;
    struct queue_options options;
    struct plan *plan;
    struct vqueue **vqueues;
    uint16_t vqueue_count;
    struct map vqueue_names;
    struct slab slab;       /* of struct job */
    struct slab berths;     /* of all turns */
    struct chains messages; /* id to the first job of the message */
    struct sites sites;
    struct heap timers;    /* jobs by min(act, note) in ms; sites' rests have their own heap */
    struct signal changed; /* the first timer moved */
    struct map texts;      /* job to the text of its wait, where it has one */
    struct map debts;      /* by message id */
    struct map told;       /* by message id: struct telling, of works with delivery */
    struct map asks;       /* by message id: the first late ask */
    struct pauses *pauses; /* NULL: none */
    struct list paused;    /* waiting jobs that narrow ones cover */
    struct list waking;    /* of these, those to be asked again */
    struct post wake_post;
    bool is_waking, changing; /* pauses are asked again, or changed */
    struct heap debt_timers;
    struct heap rate_timers; /* of virtual queues */
    struct limits *limits;   /* those that the plan names */
    struct map limited;      /* jobs that wait for them, or were called (limited.c) */
    struct quotas *quotas;   /* NULL: the plan has none (quotas.c) */
    uint64_t quota_version;  /* rises when other mail is counted, or by other values */
    bool recount;            /* what is stored is to be counted again */
    bool is_recounting;      /* a fiber does it */
    struct ended *ended;     /* recipients that ended since it read its batch */
    uint32_t ended_count;
    uint64_t cached_bytes; /* of parcels that jobs keep */
    struct queue_counts counts;
    uint32_t busy; /* works, slots, commits and reports that are out */
    bool loaded, serving, stopping;
    bool store_stopped; /* when a queue was last pumped: nothing starts */
    bool pumping, pump_again;
    struct err load_result;
    uint64_t load_upto;   /* the greatest id that was stored at the start */
    uint64_t load_at;     /* up to this id all is in memory */
    struct group loads;   /* the fiber that loads, and the one that counts again */
    struct fiber *server; /* queue_serve */
    struct post *readers; /* who waits for the end of loading */
    struct group repairs; /* of commits that failed */
    struct fiber *joiner; /* queue_serve at its end, until nothing is busy */
    const struct asker *asker;
    struct fallback_note fallbacks[FALLBACK_NOTES];
};

/* How many works of a message are with delivery although they are recorded. */
struct telling {
    uint32_t works;
};

struct slot {
    struct post post;
    struct queue *queue;
    struct vqueue *vqueue;
    struct site *site;
    struct berth *berth;    /* claimed; charged when it ends or changes */
    struct when since;      /* of this turn */
    struct when charged;    /* until when the work at hand has been charged */
    uint32_t messages;      /* in this turn */
    int64_t unpaid_ms;      /* used, and not yet charged to `berth` */
    bool accepted;          /* a transaction was, since the last exchange */
    int64_t slowest_ms;     /* longest wait since the last exchange */
    uint32_t turn_messages; /* at the end of which others have theirs */
    int64_t turn_ms;
    int64_t slow_after_ms; /* copied: delivery reads it on its own loop */
    bool counted_new;      /* it counts among those of sites that are not proven */
    bool slow;             /* one wait took longer than slow-after */
    bool cut;              /* closed for that */
    char why[SITE_TEXT_MAX];
    /* One exchange with delivery at a time: */
    struct work *done, *next;
    struct fiber *waiting;
    struct loop *back;
    bool answered;
};

struct record; /* record.c */

/* A work with what only the queue reads. */
struct queue_work {
    struct work work;
    struct job *job;
    struct berth *berth; /* where it waits while READY */
    struct berth *due;   /* where it was due: claimed until its slot time is known */
    enum prepared how;
    enum wait_reason reason;
    struct date until;
    struct str site, text; /* in work.arena */
    struct slot *slot;
    bool holds_limits;       /* limits count it as at work */
    const struct ask *asks;  /* it is no attempt: these are done to it (act.c); else NULL */
    struct action_job *item; /* of a batch, which is told; NULL: the asks are late ones */
    const bool *keeps;       /* one a recipient: it stays as it is and is not written */
    const struct message *about;
    uint32_t parts;      /* that are being recorded */
    struct record *last; /* its own record, which is done and waits for them */
};

static inline struct queue_work *queue_work_of(struct work *w)
{
    return CONTAINER_OF(w, struct queue_work, work);
}

/* queue.c */
struct vqueue *vqueue_take(struct queue *q, struct str name);
void vqueue_set(struct vqueue *v, const struct plan_queue *planned,
                const struct virtual_settings *s);
void vqueue_orphan(struct vqueue *v);                    /* no longer configured */
struct site *site_for(struct queue *q, struct str name); /* found or made, paused or not */
struct job *job_new(struct queue *q, uint64_t message, const struct job_spec *spec);
void job_place(struct queue *q, struct job *j); /* waiting or due, by the clock; arms its timer */
void job_place_first(struct queue *q, struct job *j); /* before others that are due */
void job_free(struct queue *q, struct job *j);        /* out of the message's chain too */
struct job *jobs_of(const struct queue *q, uint64_t message);
void job_timer(struct queue *q, struct job *j);
void job_set_text(struct queue *q, struct job *j, struct str text);
struct str job_text(const struct queue *q, const struct job *j);
void job_drop_parcel(struct queue *q, struct job *j);
struct vqueue *vqueue_of(const struct queue *q, const struct job *j);
/* An orphan with nothing left is forgotten. */
void vqueue_forget(struct queue *q, struct vqueue *v);
void unberth(struct queue *q, struct job *j); /* a due or ready job, out of its berth */

/* lanes.c */
void lanes_init(struct lanes *l);
void lanes_done(struct lanes *l);
struct lane *lane_take(const struct queue *q, struct vqueue *v, struct str name);
void lane_drop(struct lanes *l, struct lane *lane);
/* By the plan of now. */
void lane_weigh(const struct queue *q, const struct vqueue *v, struct lane *lane);

/* work.c */
/* The slot time it took is known: its lane and site are charged where it was due. */
void settle(struct queue_work *w, int64_t ms);
/* May it start one more by its rate and hold? When not for its rate, it wakes when it may. */
bool may_start(struct queue *q, struct vqueue *v);
struct work *work_new(struct queue *q, struct job *j);
void work_unprepare(struct work *w);
void work_free(struct work *w);
void prepare(struct queue *q, struct job *j, struct work *w);
/* Back to where it came from, without an attempt and before those that came later: what was
 * prepared is given up. */
void put_back(struct queue *q, struct job *j);
void job_note(struct queue *q, struct job *j); /* its note has come */
/* Out of its berth when it is due or ready; a ready job's work is freed. */
void job_unberth(struct queue *q, struct job *j);
/* It runs now: its connection is the probe. */
void scout_runs(struct job *j);
void pump(struct queue *q, struct vqueue *v); /* prepare and start what can be */
void pump_all(struct queue *q);

/* In and out of the ready set, and what that opens for others. */
void hand_enter(struct queue *q, struct job *j);
void hand_leave(struct queue *q, struct job *j);
uint32_t hand_max(const struct vqueue *v); /* places in the ready set */
/* The longest waiting berth that the share of new sites keeps back may be asked again; or all that
 * any share does. */
bool unblock_class(struct turns *t); /* false: there is none */
void unblock_all(struct turns *t);

/* limited.c */
void limits_use_plan(struct queue *q);
/* At the start of a slot: whether its limits let it, and then use them. */
bool limits_let_start(struct queue *q, struct work *w, struct limit_refusal *ret);
void limits_work_over(struct queue *q, const struct work *w); /* holds_limits */
/* The job of w, in no berth, waits at the limit that refused; or does no longer. */
void limited_begin(struct queue *q, struct work *w, const struct limit_refusal *why);
void limited_end(struct queue *q, struct job *j);
void limits_call(struct queue *q); /* those whose turn has come */
enum wait_reason limited_reason(const struct queue *q, const struct job *j);
void limited_note(const struct queue *q, const struct job *j, struct arena *a,
                  struct job_note *ret); /* since when, until when, and at which limit */

/* quotas.c */
void quotas_use_plan(struct queue *q, const struct plan *plan); /* before q->plan is that */
/* Before the commit, on the caller's loop: ERR_QUOTA, or all that counts the message has room, and
 * that is used. *ret: the plan it was counted under, a reference; left alone when that has none. */
struct err quotas_reserve(struct queue *q, struct plan *plan, const struct message *m,
                          struct plan **ret, struct when by);
void quotas_cancel(struct queue *q, uint64_t message); /* likewise: it was not stored */
/* With q->quotas: counts what is stored, whether there is room or not. */
void quotas_count(struct queue *q, const struct message *m);
/* Recipients have ended, if these results say so; the message has, if it has no job any more. */
void quotas_recorded(struct queue *q, uint64_t message, const uint32_t *to,
                     const struct rcpt_state *results, uint32_t count);
void quotas_over(struct queue *q, uint64_t message);
void quotas_recount(struct queue *q); /* if need be, and now is the time */

/* accept.c: whether this was not told for so long; from any loop. */
bool is_news(struct queue *q, struct str what, int64_t ms);

/* ask.c: runs fn on the queue's loop while the caller waits. */
struct err queue_call(struct queue *q, void (*fn)(struct queue *, void *), void *ctx,
                      struct when by);

/* slot.c */
void slot_start(struct queue *q, struct vqueue *v, struct berth *b); /* for b's first work */
void site_unpark(struct queue *q, struct site *site);
void site_unpark_only(struct site *site); /* pumps nothing */
void site_park(struct queue *q, struct site *site);

/* Something goes out of the queue's hands, and comes back. */
void busy_begin(struct queue *q);
void busy_end(struct queue *q);

/* ask.c: fn on the queue's loop while the caller waits. */
struct err queue_call(struct queue *q, void (*fn)(struct queue *, void *), void *ctx,
                      struct when by);

/* paused.c */
struct err pauses_load(struct queue *q);
void pauses_due(struct queue *q); /* one may have ended */
void pause_mark_site(struct queue *q, struct site *site);
void pause_mark_queue(struct queue *q, struct vqueue *v);
struct pauses *pauses_to_ask(const struct queue *q); /* the set, when it has narrow ones */
void pause_wait(struct queue *q, struct job *j);     /* it waits: a narrow one covers it */
void pause_leave(struct job *j);                     /* it waits no longer for that */

/* act.c */
/* What was asked of a job while it was at work happens now that it would wait. */
void act_late(struct queue *q, struct job *j);
/* What is stored is not what was read: the asks anew, on top of p, which the work takes. */
void act_again(struct queue_work *w, struct parcel *p, struct when by);
/* What was asked is stored. */
void act_stored(struct queue *q, struct queue_work *w);
/* The asks of this message that nobody waits for any more. */
void asks_forget(struct queue *q, uint64_t message);
void asks_done(struct queue *q);
void act_answer(struct action_job *item, enum action_fate fate);

/* record.c */
void record(struct queue *q, struct job *j); /* j->work holds results */
void owe(struct queue *q, uint64_t message); /* notes the debt; reports when nothing is at work */
void debt_consider(struct queue *q, uint64_t message); /* whether it may be told at once */
void debts_due(struct queue *q);                       /* those that have waited long enough */
void debts_consider(struct queue *q);                  /* those that need not wait; after loading */
struct date debt_next(const struct queue *q);          /* never: there is none */

/* told.c */
/* Filters hear of a recorded work, which is no job's any more and holds up nobody. */
void tell_recorded(struct queue *q, struct work *w);
bool is_being_told(const struct queue *q, uint64_t message);
/* Why recipients that a filter has changed wait, for `why`; empty: no filter did. */
struct str told_why(const struct queue_work *act);
