/* The report for a terminal. */
#include "base/check.h"
#include "cli/simulate.h"
#include "config/units.h"

enum { REASONS_SHOWN = 4 };

/* "4.5ms", "1.2s", "3m20s" */
static void put_time(int64_t us, struct buf *out)
{
    if (us < 10 * 1000) {
        buf_printf(out, "%lld.%lldms", (long long)(us / 1000), (long long)(us % 1000 / 100));
    } else if (us < 1000 * 1000) {
        buf_printf(out, "%lldms", (long long)(us / 1000));
    } else if (us < 60 * 1000 * 1000LL) {
        buf_printf(out, "%lld.%llds", (long long)(us / 1000000),
                   (long long)(us % 1000000 / 100000));
    } else {
        duration_print(us / 1000000 * 1000, out);
    }
}

static void put_times(const struct simulate_sum *s, struct buf *out)
{
    const int64_t times[] = {s->p50_us, s->p90_us, s->p99_us, s->max_us};

    for (size_t i = 0; i < COUNT_OF(times); i++) {
        struct buf text BUF_LOCAL = {0};

        if (s->delivered > 0) {
            put_time(times[i], &text);
        } else {
            buf_put(&text, STR("-"));
        }
        buf_printf(out, " %9.*s", STR_ARG(buf_str(&text)));
    }
}

/* The largest reasons: "82% no-slot, 11% backoff". */
static void put_reasons(const struct simulate_sum *s, struct buf *out)
{
    uint64_t left[WAIT_COUNT];
    bool any = false;

    memcpy(left, s->waited_ms, sizeof left);
    for (unsigned n = 0; n < REASONS_SHOWN && s->waited_all_ms > 0; n++) {
        unsigned most = 0;

        for (unsigned i = 1; i < WAIT_COUNT; i++) {
            most = left[i] > left[most] ? i : most;
        }
        if (left[most] * 100 < s->waited_all_ms) {
            break;
        }
        buf_printf(out, "%s%llu%% %s", any ? ", " : "",
                   (unsigned long long)(left[most] * 100 / s->waited_all_ms),
                   wait_reason_name((enum wait_reason)most));
        any = true;
        left[most] = 0;
    }
    if (!any) {
        buf_put(out, STR("-"));
    }
}

static void put_row(struct str class, struct str queue, const struct simulate_sum *s,
                    struct buf *out)
{
    buf_printf(out, "%-16.*s %-12.*s %9llu %9llu %8llu %8llu %8llu", STR_ARG(class), STR_ARG(queue),
               (unsigned long long)s->offered, (unsigned long long)s->delivered,
               (unsigned long long)s->failed, (unsigned long long)s->waiting,
               (unsigned long long)s->retries);
    put_times(s, out);
    buf_put(out, STR("   "));
    put_reasons(s, out);
    buf_byte(out, '\n');
}

static void put_classes(const struct tally *t, struct buf *out)
{
    buf_printf(out, "%-16s %-12s %9s %9s %8s %8s %8s %9s %9s %9s %9s   %s\n", "class", "queue",
               "offered", "delivered", "failed", "waiting", "retries", "median", "90%", "99%",
               "max", "its time in the queue");
    for (size_t c = 0; c < t->class_count; c++) {
        struct simulate_sum sum;
        unsigned shown = 0;

        for (size_t q = 0; q < t->queue_count; q++) {
            simulate_add(t, c, q, &sum);
            if (!simulate_is_empty(&sum)) {
                put_row(tally_class(t, c), t->queues[q], &sum, out);
                shown++;
            }
        }
        if (shown > 1) {
            simulate_add(t, c, SIMULATE_ALL, &sum);
            put_row(tally_class(t, c), STR("all"), &sum, out);
        }
    }
}

static void put_queues(const struct tally *t, struct buf *out)
{
    buf_printf(out, "\n%-16s %8s %12s %8s %12s   %s\n", "queue", "slots", "used, mean", "most",
               "most waited", "time in it");
    for (size_t q = 0; q < t->queue_count; q++) {
        uint64_t sum = 0, most = 0, waited = 0, slots = 0;
        struct simulate_sum all;

        for (size_t s = 0; s < t->sample_count; s++) {
            const struct tally_depth *d = &t->depths[s * t->queue_count + q];

            sum += d->running;
            most = d->running > most ? d->running : most;
            waited = d->waiting > waited ? d->waiting : waited;
            slots = d->slots;
        }
        simulate_add(t, SIMULATE_ALL, q, &all);
        if (simulate_is_empty(&all)) {
            continue;
        }
        sum = t->sample_count > 0 ? sum * 10 / t->sample_count : 0;
        buf_printf(out, "%-16.*s %8llu %10llu.%llu %8llu %12llu   ", STR_ARG(t->queues[q]),
                   (unsigned long long)slots, (unsigned long long)(sum / 10),
                   (unsigned long long)(sum % 10), (unsigned long long)most,
                   (unsigned long long)waited);
        put_reasons(&all, out);
        buf_byte(out, '\n');
    }
}

static void put_destinations(const struct tally *t, struct buf *out)
{
    size_t count = t->scenario->destination_count;
    bool is_any_assumed = false;

    buf_printf(out, "\n%-16s %8s %12s %12s %12s %12s\n", "destination", "hosts", "connections",
               "most at once", "messages", "refusals");
    for (size_t i = 0; i < count; i++) {
        const struct destination *d = &t->scenario->destinations[i];
        const struct destination_counts *c = &t->destinations[i];
        uint64_t most = 0;

        if (simulate_is_unused(t, i)) {
            continue;
        }
        is_any_assumed = is_any_assumed || d->is_assumed;
        for (size_t s = 0; s < t->sample_count; s++) {
            uint64_t open = t->hosts[s * count + i].open;

            most = open > most ? open : most;
        }
        buf_printf(out, "%-16.*s %8u %12llu %12llu %12llu %12llu\n", STR_ARG(d->name),
                   d->settings->count, (unsigned long long)c->connections, (unsigned long long)most,
                   (unsigned long long)c->messages, (unsigned long long)c->refusals);
    }
    if (is_any_assumed) {
        buf_put(out, STR("Local routes in brackets are not in the scenario, so all their mail was "
                         "taken at once.\n"));
    }
}

void simulate_text(const struct tally *t, struct buf *out)
{
    const struct scenario_settings *s = t->scenario->settings;

    if (s->description.len > 0) {
        buf_printf(out, "%.*s\n", STR_ARG(s->description));
    }
    duration_print(t->duration_ms, out);
    buf_printf(out, " of mail, seed %llu\n\n", (unsigned long long)t->scenario->seed);
    put_classes(t, out);
    put_queues(t, out);
    put_destinations(t, out);
    buf_printf(out, "\n%llu reports were made, %llu had nobody to go to.\n",
               (unsigned long long)t->reports, (unsigned long long)t->dropped);
    if (t->refused > 0) {
        buf_printf(out, "%llu messages were not accepted.\n", (unsigned long long)t->refused);
    }
    if (t->unstarted > 0) {
        buf_printf(out, "The watchdog saw %llu jobs that could go on and did not: a bug.\n",
                   (unsigned long long)t->unstarted);
    }
}
