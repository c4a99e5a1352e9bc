/* What /metrics says of filters. */
#include "admin/part.h"
#include "base/check.h"
#include "hooks/engine.h"

#include <stdio.h>

#define OF_FILTER(member) offsetof(struct filter_counts, member)
static const struct metric filter_rows[] = {
    {"filter_asked_total", "counter", "questions to the filter", OF_FILTER(asked)},
    {"filter_answered_total", "counter", "of these, answered", OF_FILTER(answered)},
    {"filter_failed_total", "counter", "without an answer that can be used, asked or not",
     OF_FILTER(failed)},
    {"filter_timeouts_total", "counter", "of these, for lack of time", OF_FILTER(timed_out)},
    {"filter_shunned_total", "counter", "of these, not asked since it failed so often",
     OF_FILTER(refused)},
    {"filter_busy_total", "counter", "of these, not asked since too many waited", OF_FILTER(busy)},
    {"filter_acted_total", "counter", "answers that decided something else than to accept",
     OF_FILTER(acted)},
    {"filter_edits_total", "counter", "changes of messages and envelopes", OF_FILTER(edits)},
    {"filter_unasked_total", "counter",
     "not asked: a message that it does not take, or a session that has failed before",
     OF_FILTER(unasked)},
    {"filter_skipped_total", "counter", "not asked, as `enable` says", OF_FILTER(skipped)},
    {"filter_shadowed_total", "counter", "answers in shadow, not obeyed", OF_FILTER(shadowed)},
    {"filter_working", "gauge", "questions under way", OF_FILTER(working)},
    {"filter_waiting", "gauge", "questions that wait for their turn", OF_FILTER(waiting)},
};

struct filter_page {
    struct buf *out;
    const struct metric *row; /* NULL: what is no row */
};

static void put_filter_row(void *ctx, const struct filter_state *s)
{
    const struct filter_page *p = ctx;
    struct filter_counts c = state_counts(s);
    const uint64_t *at = (const void *)((const char *)&c + p->row->offset);

    buf_printf(p->out, "postyard_%s{filter=\"%.*s\"} %llu\n", p->row->name, STR_ARG(s->name),
               (unsigned long long)*at);
}

static void put_filter_breaker(void *ctx, const struct filter_state *s)
{
    const struct filter_page *p = ctx;

    buf_printf(p->out, "postyard_filter_shunned{filter=\"%.*s\"} %d\n", STR_ARG(s->name),
               state_counts(s).breaker != BREAKER_CLOSED);
}

static void put_filter_latency(void *ctx, const struct filter_state *s)
{
    const struct filter_page *p = ctx;
    struct filter_counts c = state_counts(s);
    uint64_t sum = 0;

    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        char bound[32] = "+Inf";

        sum += c.latency[i];
        if (i < LATENCY_BUCKETS - 1) {
            snprintf(bound, sizeof bound, "%g", (double)latency_bounds_ms[i] / 1000);
        }
        buf_printf(p->out, "postyard_filter_seconds_bucket{filter=\"%.*s\",le=\"%s\"} %llu\n",
                   STR_ARG(s->name), bound, (unsigned long long)sum);
    }
    buf_printf(p->out,
               "postyard_filter_seconds_sum{filter=\"%.*s\"} %.6f\n"
               "postyard_filter_seconds_count{filter=\"%.*s\"} %llu\n",
               STR_ARG(s->name), (double)c.latency_us / 1e6, STR_ARG(s->name),
               (unsigned long long)sum);
}

void metrics_filters(struct buf *out, const struct engine *engine)
{
    struct filter_page p = {.out = out};

    for (size_t i = 0; i < COUNT_OF(filter_rows); i++) {
        p.row = &filter_rows[i];
        metrics_head(out, p.row->name, p.row->type, p.row->help);
        engine_each(engine, put_filter_row, &p);
    }
    metrics_head(out, "filter_shunned", "gauge", "1 while the filter is not asked");
    engine_each(engine, put_filter_breaker, &p);
    metrics_head(out, "filter_seconds", "histogram", "how long answers and failures took");
    engine_each(engine, put_filter_latency, &p);
}
