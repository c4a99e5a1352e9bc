/*
 * /metrics, in the text format of Prometheus. Names are postyard_THING; a counter ends in _total.
 */
#include "admin/part.h"
#include "base/check.h"
#include "delivery/delivery.h"
#include "inbound/inbound.h"
#include "lookup/lookup.h"
#include "queue/queue.h"
#include "store/parcel.h"
#include "store/store.h"

/* ---- events, counted on the threads that raise them ---- */

void admin_count(struct admin *ad, const struct event_kind *kind)
{
    size_t at = ((uintptr_t)kind / sizeof(*kind)) % COUNTERS_MAX;

    for (size_t tries = 0; tries < COUNTERS_MAX; tries++, at = (at + 1) % COUNTERS_MAX) {
        struct event_counter *c = &ad->counters[at];
        const struct event_kind *here = atomic_load_explicit(&c->kind, memory_order_acquire);

        if (here == NULL) {
            /* Whoever comes second finds in `here` who was first. */
            (void)atomic_compare_exchange_strong(&c->kind, &here, kind);
            here = atomic_load_explicit(&c->kind, memory_order_acquire);
        }
        if (here == kind) {
            atomic_fetch_add_explicit(&c->count, 1, memory_order_relaxed);
            return;
        }
    }
    never("there are fewer kinds of events than counters");
}

/* ---- the page ---- */

void metrics_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP postyard_%s %s\n# TYPE postyard_%s %s\n", name, help, name, type);
}

static void put_table(struct buf *out, const struct metric *rows, size_t count, const void *values)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t *at = (const void *)((const char *)values + rows[i].offset);

        metrics_head(out, rows[i].name, rows[i].type, rows[i].help);
        buf_printf(out, "postyard_%s %llu\n", rows[i].name, (unsigned long long)*at);
    }
}

#define OF_QUEUE(member) offsetof(struct queue_counts, member)
static const struct metric queue_rows[] = {
    {"jobs", "gauge", "jobs in the queue, in all states", OF_QUEUE(jobs)},
    {"queue_loading", "gauge", "1 after a start, until all that was stored is among the jobs",
     OF_QUEUE(loading)},
    {"jobs_due", "gauge", "jobs whose time has come and that have no slot yet", OF_QUEUE(due)},
    {"jobs_preparing", "gauge", "jobs whose next hop is being looked up", OF_QUEUE(preparing)},
    {"jobs_ready", "gauge", "jobs that are prepared and wait for a slot", OF_QUEUE(ready)},
    {"jobs_running", "gauge", "jobs with an attempt under way", OF_QUEUE(running)},
    {"messages_accepted_total", "counter", "messages taken into the queue", OF_QUEUE(accepted)},
    {"recipients_delivered_total", "counter", "recipients delivered", OF_QUEUE(delivered)},
    {"recipients_deferred_total", "counter", "attempts that failed for now", OF_QUEUE(deferred)},
    {"recipients_failed_total", "counter", "recipients that failed for good", OF_QUEUE(failed)},
    {"reports_total", "counter", "delivery status notifications made", OF_QUEUE(reports)},
    {"watchdog_total", "counter", "jobs that could go on and did not: must stay 0",
     OF_QUEUE(watchdog)},
};

#define OF_STORE(member) offsetof(struct store_counts, member)
static const struct metric store_rows[] = {
    {"store_messages", "gauge", "messages in the store", OF_STORE(live_messages)},
    {"store_bytes", "gauge", "their bytes", OF_STORE(live_bytes)},
    {"store_segments", "gauge", "segments of the log", OF_STORE(segments)},
    {"store_free_segments", "gauge", "of these, free", OF_STORE(free_segments)},
    {"store_commits_total", "counter", "commits", OF_STORE(commits)},
    {"store_flushes_total", "counter", "flushes to stable storage", OF_STORE(flushes)},
    {"store_written_bytes_total", "counter", "bytes written", OF_STORE(bytes_written)},
    {"store_copied_bytes_total", "counter", "of these, to move survivors", OF_STORE(bytes_copied)},
    {"store_checkpoints_total", "counter", "checkpoints", OF_STORE(checkpoints)},
    {"store_failed_flushes_total", "counter", "flushes that failed: must stay 0",
     OF_STORE(failed_flushes)},
    {"store_damaged_messages", "gauge", "messages known to be damaged: must stay 0",
     OF_STORE(damaged)},
};

#define OF_LOOKUPS(member) offsetof(struct lookup_counts, member)
static const struct metric lookup_rows[] = {
    {"lookups_total", "counter", "questions of expressions to stores", OF_LOOKUPS(asked)},
    {"lookups_cached_total", "counter", "of these, answered from the cache", OF_LOOKUPS(cached)},
    {"lookups_joined_total", "counter", "of these, answered with an equal one", OF_LOOKUPS(joined)},
    {"lookups_refused_total", "counter", "of these, not asked since the store is away",
     OF_LOOKUPS(refused)},
    {"lookups_failed_total", "counter", "of these, without an answer", OF_LOOKUPS(failed)},
};

#define OF_DELIVERY(member) offsetof(struct delivery_counts, member)
static const struct metric delivery_rows[] = {
    {"delivery_connections_total", "counter", "connections to other servers",
     OF_DELIVERY(connections)},
    {"delivery_reuses_total", "counter", "times that one was used again", OF_DELIVERY(reuses)},
    {"delivery_transactions_total", "counter", "transactions over them", OF_DELIVERY(transactions)},
    {"delivery_idle_connections", "gauge", "connections kept for later", OF_DELIVERY(idle)},
    {"filters_unasked_total", "counter",
     "attempts that no filter was asked about, since too many questions were open",
     OF_DELIVERY(unasked)},
};

static const struct metric depth_rows[] = {
    {"queue_slots", "gauge", "slots of the virtual queue", offsetof(struct queue_depth, slots)},
    {"queue_running", "gauge", "slots in use", offsetof(struct queue_depth, running)},
    {"queue_due", "gauge", "its jobs that are due", offsetof(struct queue_depth, due)},
    {"queue_ready", "gauge", "its jobs that are ready", offsetof(struct queue_depth, ready)},
};

/* Names of queues are letters, digits, '.', '_' and '-': nothing to escape. */
static void put_depths(struct buf *out, const struct queue_depth *depths, uint32_t count)
{
    for (size_t i = 0; i < COUNT_OF(depth_rows); i++) {
        metrics_head(out, depth_rows[i].name, depth_rows[i].type, depth_rows[i].help);
        for (uint32_t q = 0; q < count; q++) {
            const uint64_t *at = (const void *)((const char *)&depths[q] + depth_rows[i].offset);

            buf_printf(out, "postyard_%s{queue=\"%.*s\"} %llu\n", depth_rows[i].name,
                       STR_ARG(depths[q].name), (unsigned long long)*at);
        }
    }
}

static void put_refusals(struct buf *out, const char *way, const struct limit_count *counts,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(out, "postyard_limiter_refused_total{way=\"%s\",limiter=\"%.*s\"} %llu\n", way,
                   STR_ARG(counts[i].rule), (unsigned long long)counts[i].refused);
    }
}

static struct err put_limiters(struct buf *out, struct admin *ad, struct arena *a, struct when by)
{
    const struct limit_count *in = NULL;
    uint32_t in_count = 0, out_count;
    struct limit_count *leaving;
    struct err e = queue_refusals(ad->options.queue, a, &leaving, &out_count, by);

    if (ad->options.inbound != NULL) {
        in_count = inbound_refusals(ad->options.inbound, &in);
    }
    if (e.code == OK && in_count + out_count > 0) {
        metrics_head(out, "limiter_refused_total", "counter",
                     "how often each limiter has put mail, or who brought it, off");
        put_refusals(out, "inbound", in, in_count);
        put_refusals(out, "outbound", leaving, out_count);
    }
    return e;
}

static const struct metric quota_rows[] = {
    {"quota_messages", "gauge", "what waits and counts against the quota, all its keys together",
     offsetof(struct quota_sum, messages)},
    {"quota_bytes", "gauge", "the bytes of that", offsetof(struct quota_sum, bytes)},
    {"quota_keys", "gauge", "values of its key that are in use", offsetof(struct quota_sum, keys)},
    {"quota_refused_total", "counter", "messages that it had no room for",
     offsetof(struct quota_sum, refused)},
};

static void put_quotas(struct buf *out, const struct quota_sum *sums, uint32_t count)
{
    for (size_t i = 0; i < COUNT_OF(quota_rows) && count > 0; i++) {
        metrics_head(out, quota_rows[i].name, quota_rows[i].type, quota_rows[i].help);
        for (uint32_t k = 0; k < count; k++) {
            const uint64_t *at = (const void *)((const char *)&sums[k] + quota_rows[i].offset);

            buf_printf(out, "postyard_%s{quota=\"%.*s\"} %llu\n", quota_rows[i].name,
                       STR_ARG(sums[k].rule), (unsigned long long)*at);
        }
    }
}

static void put_events(struct buf *out, const struct admin *ad)
{
    metrics_head(out, "events_total", "counter", "events of each kind");
    for (size_t i = 0; i < COUNTERS_MAX; i++) {
        const struct event_kind *kind = atomic_load(&ad->counters[i].kind);

        if (kind != NULL) {
            buf_printf(out, "postyard_events_total{event=\"%s\"} %llu\n", kind->name,
                       (unsigned long long)atomic_load(&ad->counters[i].count));
        }
    }
}

static void put_loops(struct buf *out, const struct admin *ad)
{
    metrics_head(out, "loop_longest_turn_seconds", "gauge",
                 "the longest that its thread was kept by one turn, since the start");
    for (unsigned i = 0; i < ad->options.loop_count; i++) {
        buf_printf(out, "postyard_loop_longest_turn_seconds{loop=\"%s\",index=\"%u\"} %.6f\n",
                   loop_name(ad->loops[i]), loop_index(ad->loops[i]),
                   (double)loop_load(ad->loops[i]).longest_us / 1e6);
    }
    metrics_head(out, "loop_long_turns_total", "counter",
                 "turns of its thread that took over 50 ms");
    for (unsigned i = 0; i < ad->options.loop_count; i++) {
        buf_printf(out, "postyard_loop_long_turns_total{loop=\"%s\",index=\"%u\"} %llu\n",
                   loop_name(ad->loops[i]), loop_index(ad->loops[i]),
                   (unsigned long long)loop_load(ad->loops[i]).long_turns);
    }
}

void admin_metrics(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_READS);
    struct queue_counts counts;
    struct store_counts store;
    struct queue_depth *depths;
    struct quota_sum *quotas;
    uint32_t depth_count, quota_count;
    struct err e;

    if (ad == NULL) {
        return;
    }
    e = queue_count(ad->options.queue, &counts, by);
    if (e.code == OK) {
        e = queue_each(ad->options.queue, r->arena, &depths, &depth_count, by);
    }
    if (e.code == OK) {
        e = queue_quotas(ad->options.queue, r->arena, &quotas, &quota_count, by);
    }
    if (e.code != OK) {
        http_answer_error(answer, 503, str_of(err_text(e.code)));
        return;
    }
    answer->type = "text/plain; version=0.0.4; charset=utf-8";
    store = store_counts(ad->options.store);
    put_table(&answer->body, queue_rows, COUNT_OF(queue_rows), &counts);
    put_depths(&answer->body, depths, depth_count);
    put_table(&answer->body, store_rows, COUNT_OF(store_rows), &store);
    (void)put_limiters(&answer->body, ad, r->arena, by);
    put_quotas(&answer->body, quotas, quota_count);
    if (ad->options.delivery != NULL) {
        struct delivery_counts delivery = delivery_counts(ad->options.delivery);

        put_table(&answer->body, delivery_rows, COUNT_OF(delivery_rows), &delivery);
    }
    if (ad->options.lookups != NULL) {
        struct lookup_counts lookups = lookup_counts(ad->options.lookups);

        put_table(&answer->body, lookup_rows, COUNT_OF(lookup_rows), &lookups);
    }
    if (ad->options.engine != NULL) {
        metrics_filters(&answer->body, ad->options.engine);
    }
    metrics_head(&answer->body, "parcel_bytes", "gauge", "messages in memory");
    buf_printf(&answer->body, "postyard_parcel_bytes %llu\n", (unsigned long long)parcel_bytes());
    put_loops(&answer->body, ad);
    put_events(&answer->body, ad);
}
