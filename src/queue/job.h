/*
 * job: the small entry that stands for recipients of one message with the same virtual queue, lane,
 * due time and site; and the timers that make it act.
 *
 *      arrival, start, a recorded result
 *                 |
 *                 v   act          room in the ready set         slot, turn
 *   +--------> WAITING -----> DUE -----------------> PREPARING -----> READY -----> RUNNING
 *   |             |            |                         |              |             |
 *   |        note |       note |                    wait |         note |      result |
 *   |             v            v                         v              v             v
 *   |           NOTING ------------------------------------------> RECORDING (in the store's hands)
 *   |                                                                   |
 *   +------------ what is not final becomes new jobs <------------------+
 *
 * What an operator asks for (act.c) takes a job from WAITING, DUE or READY to RECORDING at once; a
 * job at work is marked, and goes to ACTING when it would next wait.
 *
 * The id of a job is its message and the lowest index of its recipients. Its members are not kept:
 * job_members finds them in the envelope, because no two jobs of a message share queue, lane, site
 * and time (queue.c moves a time by a millisecond where two would).
 *
 * What a message owes its sender is kept apart, as a debt, from the stored `owed` until the report
 * is stored: for up to DEBT_WAIT_MS it waits for the message's jobs at work, so that one report
 * tells of all.
 */
#pragma once

#include "base/date.h"
#include "base/heap.h"
#include "base/list.h"
#include "queue/queue.h"
#include "queue/site.h"
#include "queue/turns.h"

enum job_state {
    JOB_WAITING,
    JOB_DUE,
    JOB_PREPARING,
    JOB_READY,
    JOB_RUNNING,
    JOB_NOTING,
    JOB_ACTING, /* what an operator asked for is computed; then RECORDING */
    JOB_RECORDING,
    JOB_STATE_COUNT
};

enum {
    JOB_NOTE_IS_END = 1, /* `note` is expiry or deadline, not a notice */
    JOB_EXPIRING = 2,    /* gets its one attempt although its time is over (PY-20) */
    JOB_COUNTED_NEW = 4, /* in the ready set it counts among those of new sites (shares.h) */
    JOB_SCOUT = 8,       /* shall probe its site; until it runs the site's others wait */
    JOB_HELD = 16,       /* all its clocks stand still; `note` is the end of a quarantine */
    JOB_ASKED = 32,      /* an operator asked for something while it was at work (act.c) */
    JOB_LIMITED = 64,    /* DUE, and in the line of a limit instead of a berth (limited.c) */
    JOB_ELSEWHERE = 128  /* `act` or `site` is not what is stored; what is stored is in the past */
};

enum { DEBT_WAIT_MS = 60 * 1000 };

/* A report that is owed. */
struct debt {
    uint64_t message;
    struct heap_node timer; /* in queue->debt_timers while it waits */
    bool reporting;
    bool more; /* more came to be owed while the report was being made */
};

struct job {
    union {
        struct link link;  /* DUE: in a berth */
        struct work *work; /* PREPARING, READY, RUNNING, NOTING, RECORDING */
    };
    uint64_t message;
    struct job *sibling; /* the next job of the message */
    struct site *site;
    struct lane *lane;
    struct parcel *parcel; /* kept for the first turn, within cache_bytes; or NULL */
    struct date act, note;
    uint32_t first, to_count;
    struct heap_node timer; /* in queue->timers */
    uint16_t queue;
    uint8_t state, reason, flags, attempts;
    int8_t priority;
};

_Static_assert(sizeof(struct job) <= 96, "P7: what one queued job may cost");

/* What a job is made of; computed from the envelope outside the queue's loop. */
struct job_spec {
    uint32_t first, to_count;
    struct date act, note;
    bool note_is_end, is_held;
    uint8_t attempts;
    int8_t priority;
    struct str queue, lane, site; /* views into the states */
};

/* Groups the waiting recipients of m into specs, in a. With `only` not NULL: just those whose
 * indices it lists. */
uint32_t job_group(const struct message *m, const uint32_t *only, uint32_t only_count,
                   struct arena *a, struct job_spec **ret);
/* The earlier of notice, expiry and deadline. */
struct date job_note_date(const struct rcpt_state *s, bool *is_end);

const char *job_state_name(enum job_state s);
