/*
 * tally: what became of the mail of a simulated run: counts, times, reasons, and how they moved.
 *
 * Events    The tap of the log hears delivery's events; who puts mail in says what it offered; a
 *           fiber of the run looks at the queue at each sample.
 * Rows      One for each class of traffic and queue; the last class is what the server itself sent
 *           (reports), which is known by not having been offered.
 * Owns      All its memory, until tally_free. Names are the scenario's and the plan's.
 */
#pragma once

#include "base/event.h"
#include "play/destination.h"
#include "queue/queue.h"

struct tally_row {
    uint64_t offered, delivered, failed, retries, waiting;
    uint64_t waited_ms[WAIT_COUNT]; /* recipients times the time between two samples */
    int64_t *latency_us;            /* of what was delivered */
    size_t latency_count, latency_room;
};

/* What one class did in one sample. */
struct tally_moment {
    uint64_t offered, delivered, failed, waiting;
    int64_t p50_us, p99_us; /* of what was delivered in it; 0: nothing was */
};

struct tally_depth {
    uint64_t slots, running, waiting;
};

struct tally_host {
    uint64_t open, messages;
};

struct tally {
    const struct scenario *scenario;
    size_t class_count; /* with the reports */
    size_t queue_count; /* with one for queues that are not of the plan */
    const struct str *queues;
    struct tally_row *rows; /* of class c and queue q at c * queue_count + q */
    size_t sample_count, sample_max;
    struct tally_moment *moments;            /* of class c in sample s at s * class_count + c */
    struct tally_depth *depths;              /* of queue q, likewise */
    struct tally_host *hosts;                /* of destination d, likewise */
    struct destination_counts *destinations; /* at the end */
    uint64_t reports, dropped, refused;      /* DSNs made, told to nobody; not accepted */
    uint64_t unstarted;                      /* what the watchdog saw: must be 0 */
    int64_t duration_ms;
    /* Its own: */
    struct tally_mail *mails;
    size_t mail_count, mail_room;
    struct map by_id;
    struct tally_row *now; /* of each class: latencies of this sample */
    bool is_open;
};

struct tally *tally_new(const struct scenario *s, const struct str *queues, size_t queue_count);
void tally_free(struct tally *t);

/* Only what happens between the two counts. */
void tally_open(struct tally *t);
void tally_close(struct tally *t);

/* A message of a class was meant to come at an instant (µs of the loop's clock): before it is
 * accepted; and how that went. */
void tally_offer(struct tally *t, unsigned class, const struct message *m, int64_t meant_us);
void tally_accepted(struct tally *t, unsigned class, const struct message *m, bool was_taken);
/* For log_tap. */
void tally_event(struct tally *t, const struct event_kind *kind, const struct event_field *fields,
                 size_t count);
/* At a sample: its begin, each job that waits, its end. */
void tally_look(struct tally *t);
void tally_waits(struct tally *t, const struct job_sight *sight, struct str queue);
void tally_sample(struct tally *t, const struct queue_depth *depths, size_t depth_count,
                  const struct destinations *d);

/* The n-th thousandth of times; sorts them. 0 when there are none. */
int64_t tally_percentile(int64_t *times, size_t count, unsigned thousandth);
struct str tally_class(const struct tally *t, size_t class);
struct tally_row *tally_row(const struct tally *t, size_t class, size_t queue);
