#include "play/tally.h"

#include "base/check.h"
#include "base/mem.h"
#include "runtime/clock.h"

#include <stdlib.h>

enum { ID_MS_SHIFT = 22 }; /* where the milliseconds of a message's id begin */

struct tally_mail {
    unsigned class;
    int64_t meant_us;
};

struct tally *tally_new(const struct scenario *s, const struct str *queues, size_t queue_count)
{
    struct tally *t = MEM_NEW(struct tally);

    t->scenario = s;
    t->duration_ms = s->duration_ms;
    t->class_count = s->class_count + 1;
    t->queue_count = queue_count;
    t->queues = queues;
    t->sample_max = (size_t)(t->duration_ms / s->sample_ms) + 2;
    t->rows = mem_array(t->class_count * t->queue_count, sizeof *t->rows);
    t->now = mem_array(t->class_count, sizeof *t->now);
    t->moments = mem_array(t->class_count * t->sample_max, sizeof *t->moments);
    t->depths = mem_array(t->queue_count * t->sample_max, sizeof *t->depths);
    t->hosts = mem_array((s->destination_count + 1) * t->sample_max, sizeof *t->hosts);
    t->destinations = mem_array(s->destination_count + 1, sizeof *t->destinations);
    return t;
}

void tally_free(struct tally *t)
{
    for (size_t i = 0; i < t->class_count * t->queue_count; i++) {
        mem_free(t->rows[i].latency_us);
    }
    for (size_t i = 0; i < t->class_count; i++) {
        mem_free(t->now[i].latency_us);
    }
    mem_free(t->rows);
    mem_free(t->now);
    mem_free(t->moments);
    mem_free(t->depths);
    mem_free(t->hosts);
    mem_free(t->destinations);
    mem_free(t->mails);
    map_done(&t->by_id);
    mem_free(t);
}

void tally_open(struct tally *t)
{
    t->is_open = true;
}

/* ---- names ---- */

struct str tally_class(const struct tally *t, size_t class)
{
    return class < t->scenario->class_count ? t->scenario->classes[class].name : STR("(reports)");
}

struct tally_row *tally_row(const struct tally *t, size_t class, size_t queue)
{
    return &t->rows[class * t->queue_count + queue];
}

static size_t queue_of(const struct tally *t, struct str name)
{
    for (size_t i = 0; i + 1 < t->queue_count; i++) {
        if (str_eq(t->queues[i], name)) {
            return i;
        }
    }
    return t->queue_count - 1;
}

/* The class of a message, and when it was meant to come. */
static struct tally_mail mail_of(const struct tally *t, uint64_t id)
{
    size_t at = (size_t)(uintptr_t)map_get_num(&t->by_id, id);
    int64_t age_us = (clock_date().ms - (int64_t)(id >> ID_MS_SHIFT)) * 1000;

    if (at > 0) {
        return t->mails[at - 1];
    }
    return (struct tally_mail){(unsigned)t->class_count - 1,
                               clock_now().ns / 1000 - (age_us > 0 ? age_us : 0)};
}

static struct tally_moment *moment(const struct tally *t, size_t class)
{
    return &t->moments[t->sample_count * t->class_count + class];
}

/* ---- counting ---- */

void tally_offer(struct tally *t, unsigned class, const struct message *m, int64_t meant_us)
{
    if (t->mail_count == t->mail_room) {
        t->mail_room = t->mail_room * 2 + 1024;
        t->mails = mem_grow(t->mails, t->mail_room, sizeof *t->mails);
    }
    t->mails[t->mail_count++] = (struct tally_mail){class, meant_us};
    map_put_num(&t->by_id, m->id, (void *)(uintptr_t)t->mail_count);
}

static void count_offered(struct tally *t, size_t class, struct str queue, uint64_t recipients)
{
    tally_row(t, class, queue_of(t, queue))->offered += recipients;
    if (t->sample_count < t->sample_max) {
        moment(t, class)->offered += recipients;
    }
}

void tally_accepted(struct tally *t, unsigned class, const struct message *m, bool was_taken)
{
    if (!t->is_open) {
        return;
    }
    if (!was_taken) {
        t->refused++;
        return;
    }
    for (uint32_t i = 0; i < m->to_count; i++) {
        count_offered(t, class, m->to[i].state.queue, 1);
    }
}

static void keep(struct tally_row *r, int64_t us)
{
    if (r->latency_count == r->latency_room) {
        r->latency_room = r->latency_room * 2 + 256;
        r->latency_us = mem_grow(r->latency_us, r->latency_room, sizeof *r->latency_us);
    }
    r->latency_us[r->latency_count++] = us;
}

struct told {
    uint64_t message;
    struct str queue;
};

static struct told read_event(const struct event_field *fields, size_t count)
{
    struct told told = {.queue = STR_EMPTY};

    for (size_t i = 0; i < count; i++) {
        if (fields[i].type == EVENT_id && strcmp(fields[i].name, "message") == 0) {
            told.message = fields[i].id;
        } else if (fields[i].type == EVENT_str && strcmp(fields[i].name, "queue") == 0) {
            told.queue = fields[i].str;
        }
    }
    return told;
}

static void count_done(struct tally *t, const struct told *told)
{
    struct tally_mail mail = mail_of(t, told->message);
    int64_t us = clock_now().ns / 1000 - mail.meant_us;
    struct tally_row *row = tally_row(t, mail.class, queue_of(t, told->queue));

    row->delivered++;
    keep(row, us > 0 ? us : 0);
    keep(&t->now[mail.class], us > 0 ? us : 0);
    if (t->sample_count < t->sample_max) {
        moment(t, mail.class)->delivered++;
    }
}

static void count_failed(struct tally *t, const struct told *told)
{
    struct tally_mail mail = mail_of(t, told->message);

    tally_row(t, mail.class, queue_of(t, told->queue))->failed++;
    if (t->sample_count < t->sample_max) {
        moment(t, mail.class)->failed++;
    }
}

/* Which queue a report is in is known only when something becomes of it: see tally_close. */
static void count_report(struct tally *t)
{
    t->reports++;
    if (t->sample_count < t->sample_max) {
        moment(t, t->class_count - 1)->offered++;
    }
}

void tally_event(struct tally *t, const struct event_kind *kind, const struct event_field *fields,
                 size_t count)
{
    struct told told;

    if (!t->is_open) {
        return;
    }
    told = read_event(fields, count);
    if (strcmp(kind->name, "delivery_done") == 0) {
        count_done(t, &told);
    } else if (strcmp(kind->name, "delivery_deferred") == 0) {
        tally_row(t, mail_of(t, told.message).class, queue_of(t, told.queue))->retries++;
    } else if (strcmp(kind->name, "delivery_failed") == 0) {
        count_failed(t, &told);
    } else if (strcmp(kind->name, "report_made") == 0) {
        count_report(t);
    } else if (strcmp(kind->name, "double_bounce") == 0) {
        t->dropped++;
    } else if (strcmp(kind->name, "watchdog_job") == 0) {
        t->unstarted++;
    }
}

/* ---- the end ---- */

/* Whose end was told while the queue was still recording it was counted as waiting too; who was
 * accepted just now was not yet seen. What is neither delivered nor failed waits. */
static void settle(struct tally *t, size_t class)
{
    int64_t excess = 0;

    for (size_t q = 0; q < t->queue_count; q++) {
        const struct tally_row *r = tally_row(t, class, q);

        excess += (int64_t)(r->waiting + r->delivered + r->failed) - (int64_t)r->offered;
    }
    for (size_t q = 0; q < t->queue_count && excess != 0; q++) {
        struct tally_row *r = tally_row(t, class, q);
        int64_t change = excess;

        if (excess > 0 && (int64_t)r->waiting < excess) {
            change = (int64_t)r->waiting;
        } else if (excess < 0 && r->offered == 0) {
            continue;
        }
        r->waiting -= (uint64_t)change;
        excess -= change;
    }
}

void tally_close(struct tally *t)
{
    t->is_open = false;
    for (size_t c = 0; c + 1 < t->class_count; c++) {
        settle(t, c);
    }
    for (size_t q = 0; q < t->queue_count; q++) {
        struct tally_row *r = tally_row(t, t->class_count - 1, q);

        r->offered = r->delivered + r->failed + r->waiting;
    }
}

/* ---- samples ---- */

void tally_look(struct tally *t)
{
    for (size_t i = 0; i < t->class_count * t->queue_count; i++) {
        t->rows[i].waiting = 0;
    }
}

void tally_waits(struct tally *t, const struct job_sight *sight, struct str queue)
{
    size_t class = mail_of(t, sight->message).class;
    struct tally_row *row = tally_row(t, class, queue_of(t, queue));

    row->waiting += sight->to_count;
    row->waited_ms[sight->reason] += sight->to_count * (uint64_t)t->scenario->sample_ms;
    if (t->sample_count < t->sample_max) {
        moment(t, class)->waiting += sight->to_count;
    }
}

static void sample_hosts(struct tally *t, const struct destinations *d)
{
    size_t count = t->scenario->destination_count;
    struct tally_host *hosts = &t->hosts[t->sample_count * count];

    for (size_t i = 0; i < count; i++) {
        struct destination_counts now = destinations_counts(d, (unsigned)i);

        hosts[i].open = now.open;
        hosts[i].messages = now.messages - t->destinations[i].messages;
        t->destinations[i] = now;
    }
}

static void sample_depths(struct tally *t, const struct queue_depth *depths, size_t count)
{
    struct tally_depth *now = &t->depths[t->sample_count * t->queue_count];

    for (size_t i = 0; i < count; i++) {
        now[queue_of(t, depths[i].name)].running += depths[i].running;
        now[queue_of(t, depths[i].name)].slots += depths[i].slots;
    }
    for (size_t q = 0; q < t->queue_count; q++) {
        for (size_t c = 0; c < t->class_count; c++) {
            now[q].waiting += tally_row(t, c, q)->waiting;
        }
    }
}

void tally_sample(struct tally *t, const struct queue_depth *depths, size_t depth_count,
                  const struct destinations *d)
{
    if (t->sample_count >= t->sample_max) {
        return;
    }
    for (size_t c = 0; c < t->class_count; c++) {
        struct tally_row *now = &t->now[c];
        struct tally_moment *m = moment(t, c);

        m->p50_us = tally_percentile(now->latency_us, now->latency_count, 500);
        m->p99_us = tally_percentile(now->latency_us, now->latency_count, 990);
        now->latency_count = 0;
    }
    sample_depths(t, depths, depth_count);
    sample_hosts(t, d);
    t->sample_count++;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int64_t tally_percentile(int64_t *times, size_t count, unsigned thousandth)
{
    if (count == 0) {
        return 0;
    }
    qsort(times, count, sizeof *times, by_size);
    return times[(count - 1) * thousandth / 1000];
}
