/*
 * act: operators' actions come to the queue, a batch at a time, and answers go back.
 *
 * Way       Whoever asks has read the envelopes, has chosen recipients, and has computed their new
 *           states (act_states); the queue takes each job out of its hands of waiting and records
 *           them compare-and-set. When another has changed the recipient meanwhile, they are
 *           computed again on top of that. No step of the queue takes more than STEP_JOBS jobs.
 * Races     A job that runs is not touched: its attempt's result decides. What was asked is kept
 *           with the message and done to whatever still waits afterwards: the fate REQUESTED. It is
 *           kept in memory only, so a crash may forget it; it was not answered DONE.
 * Owns      A batch and all it points to stay the caller's, who waits until each job has its fate.
 *           Of a REQUESTED one the queue keeps a copy.
 * Errors    Each job's fate.
 */
#pragma once

#include "base/date.h"
#include "base/err.h"
#include "queue/action.h"
#include "runtime/loop.h"

struct queue;
struct store;

/* One action on some recipients of one message. */
struct ask {
    struct ask *next; /* what was asked later */
    const struct action *action;
    const uint32_t *meant; /* indices, rising */
    uint32_t meant_count;
};

enum action_fate {
    FATE_OPEN,
    FATE_DONE,      /* on stable storage */
    FATE_REQUESTED, /* its attempt runs: done afterwards to what is not final then */
    FATE_RUNNING,   /* a retry that needs none: it is being tried */
    FATE_CHANGED,   /* it is not what it was when it was read, or between two states: look again */
    FATE_FAILED     /* the store does not write, or the server ends */
};

/* One job as the caller saw it. */
struct action_job {
    struct ask ask;
    const struct message *about;
    uint32_t first, to_count;
    uint32_t *to; /* all its recipients */
    struct rcpt_state *results;
    bool *keeps;
    bool is_ended;      /* a filter's: the one recipient has failed and is in no job */
    uint32_t changed;   /* how many of the meant ones change; 0: it is only to be tried now */
    uint32_t undecided; /* how many have no new schedule */
    enum action_fate fate;
    struct action_batch *batch; /* the queue's */
};

struct action_batch {
    struct action_job *jobs;
    uint32_t count;
    bool insists; /* asked often enough: what is between two states is REQUESTED too */
    /* The queue's: */
    struct post post;
    struct queue *queue;
    struct loop *back;
    struct fiber *fiber;
    uint32_t next, left;
    bool answered;
};

/* New states of m's recipients `to`, after all asks in order. Those that stay as they are get
 * keeps; the versions of the others rise. How many change, and how many could not be decided.
 * Look-ups have ACCEPT_LOOKUPS_MS in all, as at acceptance. */
struct act_effects {
    uint32_t changed, undecided;
};
struct act_effects act_states(const struct ask *asks, const struct message *m, const uint32_t *to,
                              uint32_t to_count, const struct acting *k, struct rcpt_state *results,
                              bool *keeps, struct when by);

void queue_act(struct queue *q, struct action_batch *b, struct when by);

/* filtered.c: makes what filters want of recipients of one message, each as long as its state is
 * the one that they were shown; a result that arrives meanwhile stands. Returns when that is on
 * stable storage; is_done says of which. What is between two states is looked at again, for about a
 * second in all. */
struct err queue_filter(struct queue *q, struct store *s, uint64_t message,
                        struct action_change *changes, uint32_t count, struct when by);
/* The plan that the queue follows now; one reference. */
struct plan *queue_plan(struct queue *q, struct when by);
/* Who performs its look-ups; or NULL. */
const struct asker *queue_asker(const struct queue *q);
